"""Runs on a Ray cluster: each run is a task with its share of a GPU, and is tried again if its worker is lost."""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from .. import places, results
from ..recipes import Recipe
from .local import ATTEMPTS, POLL_SECONDS
from .record import SweepError
from .work import Done, Events, work

CONNECT_SECONDS = 5.0  # time that an address has to accept a connection
# Variables that change how a run is computed. Workers get them, so that a record agrees with the machine of the sweep.
COMPUTATION_VARIABLES = ("ACCELERATE_", "CIRCPEFT_", "NVIDIA_TF32_", "TORCH_ALLOW_TF32_", "ONEDNN_DEFAULT_", "DNNL_")
SECRET_WORDS = ("KEY", "PASSWORD", "SECRET", "TOKEN")


def work_remotely(recipe: Recipe, code: str) -> Done:
    """Run a recipe on a worker that may not share the output folder. The text of the record comes back with the end.

    Raises: RuntimeError if the worker has other code, since its record would be taken for one of the present code.
    """
    if results.code_version() != code:
        raise RuntimeError(
            f"node {socket.gethostname()} has circpeft of code version {results.code_version()}, expected {code}; "
            f"install the same commit on every node"
        )
    done = work(recipe)
    if done.state != "finished":
        return done
    path = results.path_of(recipe.name, recipe.output_dir)
    return replace(done, record=path.read_text(encoding="utf-8"))


@contextmanager
def connected(address: str, gpus: float | None) -> Iterator[Callable[[list[Recipe]], Events]]:
    """Connect to a cluster, and yield the function that runs recipes there.

    Args:
        address: "auto" (the cluster of this machine), "local" (a new one on this machine), "host:port" of a cluster's
            head, or "ray://host:port" of its client server.
        gpus: share of a GPU for each run; None takes one if the cluster has any.

    Raises: SweepError for an address that does not answer, a share that no node of the cluster has, or if Ray is not
    installed.
    """
    if gpus is not None and (not 0 <= gpus < math.inf or (gpus > 1 and gpus != int(gpus))):
        raise SweepError(
            f"gpus={gpus:g} is not a share of GPUs for a run; expected 0 to 1, such as 0.5, or a whole number"
        )
    ray = _ray()
    _connect(ray, address)
    try:
        share = _gpu_share(ray, address, gpus)
        yield partial(_run, ray, share)
    finally:
        ray.shutdown()


def _gpu_share(ray: Any, address: str, gpus: float | None) -> float:
    """Return the GPUs for each run: ``gpus``, or one if the cluster has any.

    A run has to fit on one node; otherwise it would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = max((node.get("GPU", 0.0) for node in nodes), default=0.0)
    share = float(min(most, 1)) if gpus is None else gpus
    if not any(node.get("GPU", 0.0) >= share and node.get("CPU", 0.0) >= 1 for node in nodes):
        raise SweepError(
            f"a run needs a processor and gpus={share:g} on one node, and no node of the cluster at {address!r} has "
            f"both; most GPUs of a node: {most:g}"
        )
    return share


def _run(ray: Any, share: float, recipes: list[Recipe]) -> Events:
    """Run recipes. Yield the end of each, and about once a second the recipes that have not ended."""
    remote = ray.remote(num_cpus=1, num_gpus=share, max_retries=ATTEMPTS)(work_remotely)
    code = results.code_version()
    waiting = {remote.remote(recipe, code): recipe for recipe in recipes}
    while waiting:
        ended, _ = ray.wait(list(waiting), timeout=POLL_SECONDS)
        for reference in ended:
            yield _end_of(ray, reference, waiting.pop(reference))
        yield list(waiting.values())


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise SweepError("--ray needs Ray, which is not installed; pip install 'circpeft[cluster]'") from None
    return ray


def _connect(ray: Any, address: str) -> None:
    if address not in ("auto", "local"):
        _check_answer(address)
    # Workers import this very package, whether it is installed or not.
    variables = {name: value for name, value in os.environ.items() if _changes_a_run(name)}
    paths = os.pathsep.join(filter(None, [str(places.PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))
    options = {
        "runtime_env": {"env_vars": {**variables, "PYTHONPATH": paths}},
        "log_to_driver": False,
        "configure_logging": False,
    }
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        raise SweepError(
            f"no Ray cluster answers at {address!r} ({error}); start one with `ray start --head`, or give --ray local"
        ) from error
    except (RuntimeError, ValueError) as error:  # such as another version of Ray or Python in the cluster
        raise SweepError(f"cannot connect to the Ray cluster at {address!r}: {' '.join(str(error).split())}") from error
    finally:  # Ray replaces the handler of SIGTERM
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _changes_a_run(variable: str) -> bool:
    """Return whether workers get an environment variable. Secrets stay here, because Ray shows what it passes on."""
    return variable.startswith(COMPUTATION_VARIABLES) and not any(word in variable for word in SECRET_WORDS)


def _check_answer(address: str) -> None:
    """Raise SweepError unless something accepts connections at an address. Ray itself would try for a minute."""
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise SweepError(f"Ray address {address!r} is not host:port; expected auto, local or one such as 10.0.0.1:6379")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SweepError(
            f"no Ray cluster answers at {address!r} ({error}); start one there with `ray start --head --port {port}`, "
            f"or look for it with `ray status`"
        ) from error


def _end_of(ray: Any, reference: Any, recipe: Recipe) -> Done:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:  # lost too often, or an error of the worker itself
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        cause = getattr(error, "cause", None)
        return Done(recipe.name, "failed", error=str(cause or first_line), traceback=str(error))
