"""Time and memory of work on a device, and what the device itself can do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import torch

GIB = 2**30


@dataclass(frozen=True)
class Timing:
    """Of one call: median and spread (interquartile range) in milliseconds, most memory beyond what was held before."""

    milliseconds: float
    spread: float
    bytes: int
    calls: int


def measure(work: Callable[[], object], device: torch.device, seconds: float, most: int = 100) -> Timing:
    """Call `work` for about `seconds`, 3 to `most` times, after 2 calls that are not counted.

    On CUDA by device events, so that only the device's time counts once the queue is full; memory is 0 elsewhere.
    """
    for _ in range(2):
        work()
    cuda = device.type == "cuda"
    before = 0
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or (time.perf_counter() < end and len(times) < most):
        times.append(_event_time(work) if cuda else _wall_time(work))
    peak = torch.cuda.max_memory_allocated(device) - before if cuda else 0
    ordered = sorted(times)
    spread = ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]
    return Timing(median(times), spread, peak, len(times))


def _event_time(work: Callable[[], object]) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    work()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end)


def _wall_time(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begin)


@dataclass(frozen=True)
class Ceilings:
    """What the device reaches: a large copy in bytes/s (read plus written), a large bf16 product in FLOP/s."""

    bandwidth: float
    arithmetic: float

    def milliseconds(self, flops: float, moved: float) -> float:
        """The least time for so many operations and bytes: the roofline."""
        return 1e3 * max(flops / self.arithmetic, moved / self.bandwidth)


def ceilings(device: torch.device, small: bool) -> Ceilings:
    """Measure them: on random numbers, because products of zeros run faster."""
    count, size = (2**20, 128) if small else (2**29, 8192)
    copy, product = _copy_time(count, device), _product_time(size, device)
    return Ceilings(2 * 2 * count / (copy / 1e3), 2 * size**3 / (product / 1e3))


def _copy_time(count: int, device: torch.device) -> float:
    source = torch.randn(count, device=device, dtype=torch.bfloat16)
    target = torch.empty_like(source)
    return measure(lambda: target.copy_(source), device, 0.2).milliseconds


def _product_time(size: int, device: torch.device) -> float:
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return measure(lambda: a @ b, device, 0.2).milliseconds


def describe(device: torch.device) -> str:
    """The device and the software that decide about speed."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}, torch {torch.__version__}, CUDA {torch.version.cuda or 'none'}"
