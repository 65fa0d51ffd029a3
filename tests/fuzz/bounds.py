"""How many inputs the generated tests try, and how long one of them may take."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import HealthCheck

EXAMPLES = int(os.environ.get("CIRCPEFT_FUZZ", "40"))
BOUNDS = {
    "max_examples": EXAMPLES,
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
}


class TooSlowError(Exception):
    """One input took longer than it may."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in the block after this much processor time; systems without such a signal have no limit."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number, frame):
        raise TooSlowError(f"more than {seconds} seconds of processor time")

    earlier = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, earlier)


def show(kind: str, counts: Counter) -> None:
    """Print how many inputs were tried, and what became of them."""
    print(f"\n{kind}: {sum(counts.values())} inputs, {dict(counts)}")
