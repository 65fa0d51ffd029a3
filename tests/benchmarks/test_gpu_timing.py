"""The timing of calls on a GPU: their order, graphs, failures, and what is added to a base case."""

from contextlib import contextmanager

import pytest
import torch

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def timing(load_benchmark):
    return load_benchmark("gpu_timing")


def test_each_repeat_starts_with_another_call_and_measures_all(timing):
    order = []
    measures = {name: lambda name=name: order.append(name) or len(order) for name in "abc"}
    values = timing.in_turn(measures, {}, 4)
    assert "".join(order) == "abc" + "bca" + "cab" + "abc"
    assert values == {"a": [1, 6, 8, 10], "b": [2, 4, 9, 11], "c": [3, 5, 7, 12]}
    assert timing.rotated([], 3) == [] and timing.REPEATS >= 7


def test_a_case_that_fails_is_recorded_and_the_others_continue(timing):
    def fails_the_second_time():
        calls.append(0)
        if len(calls) == 2:
            raise RuntimeError("capture failed\nin a second line")
        return 1.0

    calls, failed = [], {}
    values = timing.in_turn({"frozen": lambda: 2.0, "bad": fails_the_second_time}, failed, 7)
    assert values == {"frozen": [2.0] * 7} and len(calls) == 2
    assert failed == {"bad": "RuntimeError: capture failed"}
    with timing.recorded(failed, "silent"):
        raise ValueError
    assert failed["silent"] == "ValueError: "


def test_what_a_case_adds_is_paired_by_repeat(timing):
    values = {"frozen": [1.0, 2.0, 4.0], "c3a": [1.5, 2.1, 4.2]}
    assert timing.beyond(values, "frozen") == {"c3a": [0.1, 0.2, 0.5]}
    assert timing.spread([3, 1, 2]) == [1, 2, 3]


def test_a_graph_is_captured_after_warm_ups_and_a_change_and_replays_without_the_call(timing, monkeypatch):
    events = []

    class Stream:
        def wait_stream(self, other):
            pass

    class Graph:
        def replay(self):
            events.append("replay")

    @contextmanager
    def capturing(graph):
        events.append("begin")
        yield
        events.append("end")

    @contextmanager
    def on_stream(stream):
        yield

    fakes = {"Stream": Stream, "CUDAGraph": Graph, "graph": capturing, "stream": on_stream, "current_stream": Stream}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    result = [torch.zeros(2)]
    replay = timing.captured(
        lambda: events.append("call") or result, torch.device("cuda"), lambda: events.append("change")
    )
    assert events == ["call"] * timing.WARM_UPS + ["change", "begin", "call", "end"]
    assert replay() is result and events[-1] == "replay" and events.count("call") == timing.WARM_UPS + 1


def test_each_replay_is_timed_by_events_with_an_empty_cache(timing, monkeypatch):
    order, milliseconds = [], iter([9.0, 1.0, 2.0])

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            order.append("event")

        def elapsed_time(self, end):
            return next(milliseconds)

    class Cache:
        def zero_(self):
            order.append("flush")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: order.append("synchronize"))
    monkeypatch.setattr(timing, "_flushed", lambda device: Cache())
    assert timing.gpu_milliseconds(lambda: order.append("replay"), torch.device("cuda"), 3) == 2
    assert order == ["flush", "event", "replay", "event"] * 3 + ["synchronize"]
    assert timing.FLUSHED_BYTES > 128e6  # the largest cache of a GPU


def test_on_a_cpu_the_call_itself_is_timed(timing):
    calls = []

    def call():
        calls.append(0)
        return []

    assert timing.captured(call, CPU, lambda: None) is call
    assert timing.gpu_milliseconds(call, CPU, 5) >= 0 and len(calls) == 5
    assert timing.copy_bandwidth(CPU, 1) > 0


def test_kernels_have_launches_and_times_per_call(timing):
    a = torch.randn(64, 64)
    kernels = timing.kernels_of(lambda: a @ a, CPU, 4)
    count, microseconds = {name: (count, us) for name, count, us in kernels}["aten::mm"]
    assert count == 1 and microseconds > 0
    assert timing.busy_milliseconds(kernels) == pytest.approx(sum(us for _, _, us in kernels) / 1000, abs=1e-3)
    assert [us for _, _, us in kernels] == sorted((us for _, _, us in kernels), reverse=True)
