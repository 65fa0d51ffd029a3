"""Call a function and interrupt it when its time is up, on the main thread of a kernel or on any other."""

import ctypes
import signal
import threading
from collections.abc import Callable
from typing import Any

AGAIN = 0.1  # seconds until a function that catches the interruption is interrupted once more


class OutOfTime(BaseException):
    """A function was interrupted. Not an Exception: `except Exception` in the function must not catch it."""


def call_within(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """Return function(*arguments).

    On the main thread a signal interrupts the function, even while it sleeps. Other threads, and Windows, have no such
    signal. There, the interruption waits until the function runs Python code again.

    Raises:
        OutOfTime: after ``seconds``, if the function is still running.

    >>> call_within(5, max, 1, 2)
    2
    """
    main = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    stop = _start_signal(seconds) if main else _start_watcher(seconds)
    try:
        try:
            return function(*arguments)
        finally:
            stop()
    except OutOfTime:
        stop()  # the interruption may have come before the first stop was done
        raise


def _start_signal(seconds: float) -> Callable[[], None]:
    """Start the alarm of the main thread; return the function that stops it and restores an earlier alarm."""

    def interrupt(number, frame):
        raise OutOfTime

    earlier = signal.signal(signal.SIGALRM, interrupt)
    remaining = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)

    def stop():
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
        if remaining[0]:
            signal.setitimer(signal.ITIMER_REAL, *remaining)

    return stop


def _start_watcher(seconds: float) -> Callable[[], None]:
    """Start a thread that raises OutOfTime in this one; return the function that stops it."""
    thread, finished, lock = ctypes.c_ulong(threading.get_ident()), threading.Event(), threading.Lock()

    def watch():
        wait = seconds
        while not finished.wait(wait):
            with lock:
                if not finished.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(OutOfTime))
            wait = AGAIN

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()

    def stop():
        # An interruption that is on its way arrives here, at the latest. It cannot be taken back: in Python 3.11,
        # setting no exception leaves a mark that makes the interpreter hang at the next call under a profile function.
        with lock:
            finished.set()
        watcher.join()

    return stop
