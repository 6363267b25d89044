"""What the device does during some steps: how many kernels, which take the time, and how long it waits for the host."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from .journal import Bench

TOP = 40


class Trace:
    """A profile of the kernels between start() and stop(); on a CPU of the operators."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        kind = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
        self._profile = profile(activities=[kind])

    def start(self) -> None:
        self._profile.start()

    def stop(self) -> None:
        """The device has done what it was told."""
        self._profile.stop()

    def tell(self, bench: Bench, steps: int) -> None:
        """Write down launches a step, the share of idle time, and the TOP kernels by their time in a step."""
        spans = self._spans()
        if not spans:
            bench.holds("the profiler saw kernels", False)
            return
        times: Counter[str] = Counter()
        calls = Counter(name for name, _, _ in spans)
        for name, begin, end in spans:
            times[name] += end - begin
        bench.figure("launches a step", round(len(spans) / steps))
        bench.figure("idle", round(idle([(begin, end) for _, begin, end in spans]), 4), "of the time")
        for name, nanoseconds in times.most_common(TOP):
            label = f"kernel, {calls[name] / steps:g} a step: {name[:90]}"
            bench.figure(label, round(nanoseconds / 1e6 / steps, 3), "ms a step")

    def _spans(self) -> list[tuple[str, int, int]]:
        """(name, begin, end) in ns of every kernel, copy and fill.

        From the raw events: building torch's tree of them takes longer than the steps.
        """
        assert self._profile.profiler is not None
        results: Any = self._profile.profiler.kineto_results
        wanted = (
            torch.autograd.DeviceType.CUDA if self.device.type == "cuda" else torch.autograd.DeviceType.CPU
        )
        return [
            (event.name(), event.start_ns(), event.start_ns() + event.duration_ns())
            for event in results.events()
            if event.device_type() == wanted and event.duration_ns() > 0
        ]


def idle(spans: Sequence[tuple[int, int]]) -> float:
    """Share of the time between the first begin and the last end in which none of the spans (begin, end) is."""
    busy, until = 0, min(begin for begin, _ in spans)
    first = until
    for begin, end in sorted(spans):
        busy += max(0, end - max(begin, until))
        until = max(until, end)
    return 1 - busy / max(until - first, 1)
