"""DDP and FSDP2 on two processes: the adapters' gradients and steps are those of one process over the whole batch."""

import os
import subprocess
import sys
import time

import pytest
import torch
import torch.distributed as dist
from peft import PeftModel, get_peft_model
from torch import nn

from tests.versions import needs

pytestmark = [
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo"),
    needs("torch", "2.6", "older versions have no fully_shard"),
]

SECONDS = 600
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
KINDS = ("ddp", "fsdp")
# Relative L2 error. In bfloat16 the rounding of a row depends on the number of rows.
TOLERANCE = {"float32": 1e-6, "bfloat16": 1e-2}

TRAIN = """
def train(model, forward, x, y, full=lambda tensor: tensor):
    import torch
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-2, momentum=0.9)
    gradients = {}
    for _ in range(3):
        (forward(x).float() - y).square().mean().backward()
        gradients = gradients or {n: full(p.grad).clone() for n, p in model.named_parameters() if p.requires_grad}
        assert all(p.grad is None for p in model.parameters() if not p.requires_grad)
        optimizer.step()
        optimizer.zero_grad()
    return gradients, {n: full(p.detach()).clone() for n, p in model.named_parameters()}
"""

WORKER = (
    TRAIN
    + """
import os, sys, torch, torch.distributed as dist
from datetime import timedelta
from pathlib import Path
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

folder, rank, seconds, jobs = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
options = {"init_method": f"file://{folder}/store", "timeout": timedelta(seconds=seconds)}
dist.init_process_group("gloo", rank=rank, world_size=2, **options)
mesh = init_device_mesh("cpu", (2,))
for job in jobs:
    model = torch.load(folder / f"{job}.model", weights_only=False)
    x, y = torch.load(folder / f"{job}.data")
    x, y = x.chunk(2)[rank], y.chunk(2)[rank]
    if job.startswith("ddp"):
        outcome = train(model, DistributedDataParallel(model), x, y)
        local = {n: p.numel() for n, p in model.named_parameters()}
    else:
        for layer in [m for m in model.modules() if isinstance(m, BaseTunerLayer)]:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        outcome = train(model, model, x, y, lambda tensor: tensor.full_tensor())
        local = {n: p.to_local().numel() for n, p in model.named_parameters()}
        state = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        if rank == 0:
            model.save_pretrained(folder / f"{job}-saved", state_dict=state)
    torch.save((*outcome, local), folder / f"{job}.{rank}")
dist.barrier()
dist.destroy_process_group()
# FSDP's caches keep threads of gloo, which sometimes abort Python when it exits (pytorch issue 190489).
os._exit(0)
"""
)


def launch(folder, jobs):
    """Run both processes to the end. Fail with their output."""
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
    }
    logs, workers, end = [], [], time.monotonic() + SECONDS
    for rank in (0, 1):
        logs.append(folder / f"log.{rank}")
        with logs[-1].open("w") as log:
            command = [sys.executable, "-c", WORKER, folder, rank, SECONDS, *jobs]
            workers.append(subprocess.Popen([*map(str, command)], stdout=log, stderr=log, env=environment))
    try:
        while any(worker.poll() is None for worker in workers) and time.monotonic() < end:
            if any(worker.poll() for worker in workers):
                time.sleep(2)  # the other process may still print its error
                break
            time.sleep(0.1)
        codes = [worker.poll() for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    output = "\n".join(f"--- process {rank}:\n{log.read_text()[-3000:]}" for rank, log in enumerate(logs))
    assert codes == [0, 0], f"exit codes {codes} (None: not done in {SECONDS} s)\n{output}"


def network(dtype):
    """Four layers. One of them is not adapted."""
    torch.manual_seed(1)
    sizes = [(16, 16), (16, 24), (24, 16), (16, 12)]
    return nn.Sequential(*(layer for size in sizes for layer in (nn.Linear(*size), nn.Tanh()))).to(dtype)


@pytest.fixture(scope="module")
def runs(methods, tmp_path_factory):
    """Results of two processes and of one process, by job, and their folder. All jobs share the two processes."""
    folder, scope, alone, jobs = tmp_path_factory.mktemp("distributed"), {}, {}, []
    exec(TRAIN, scope)
    for method in methods:
        for name, dtype in DTYPES.items():
            model = get_peft_model(network(dtype), method(target_modules=["0", "2", "4"]))
            x, y = torch.randn(8, 16).to(dtype), torch.randn(8, 12)
            for kind in KINDS:
                jobs.append(f"{kind}-{method}-{name}")
                torch.save(model, folder / f"{jobs[-1]}.model")
                torch.save((x, y), folder / f"{jobs[-1]}.data")
            alone |= dict.fromkeys(jobs[-len(KINDS) :], scope["train"](model, model, x, y))
    launch(folder, jobs)
    return {job: ([torch.load(folder / f"{job}.{rank}") for rank in (0, 1)], alone[job], folder) for job in jobs}


@pytest.fixture(params=DTYPES)
def dtype(request):
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_steps_equal_those_of_one_process(runs, method, kind, dtype, error):
    found, (gradients, parameters), _ = runs[f"{kind}-{method}-{dtype}"]
    assert len(gradients) >= 3 and all(g.count_nonzero() and g.dtype == torch.float32 for g in gradients.values())
    for other_gradients, other_parameters, _ in found:
        assert other_gradients.keys() == gradients.keys() and other_parameters.keys() == parameters.keys()
        for name, gradient in gradients.items():
            assert error(other_gradients[name], gradient) < TOLERANCE[dtype], name
            assert other_parameters[name].dtype == torch.float32
            assert error(other_parameters[name], parameters[name]) < TOLERANCE[dtype], name
        frozen = parameters.keys() - gradients.keys()
        assert all(torch.equal(other_parameters[name], parameters[name]) for name in frozen)


@pytest.mark.parametrize("kind", KINDS)
def test_fsdp_keeps_a_part_on_each_process_and_ddp_the_whole(runs, method, kind, dtype):
    (*_, first), (*_, second) = (part for part in runs[f"{kind}-{method}-{dtype}"][0])
    sizes = {name: p.numel() for name, p in runs[f"{kind}-{method}-{dtype}"][1][1].items()}
    assert {n: first[n] + second[n] for n in sizes} == {
        n: (2 if kind == "ddp" else 1) * size for n, size in sizes.items()
    }


def test_an_adapter_saved_from_fsdp_is_loaded_by_one_process(runs, method, dtype, error):
    _, (gradients, parameters), folder = runs[f"fsdp-{method}-{dtype}"]
    loaded = PeftModel.from_pretrained(network(DTYPES[dtype]), folder / f"fsdp-{method}-{dtype}-saved")
    for name, p in loaded.named_parameters():
        if name in gradients:
            assert p.dtype == torch.float32 and error(p, parameters[name]) < TOLERANCE[dtype], name
