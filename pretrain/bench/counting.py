"""What a piece of work asks of a device, found out without one: kernels launched, and times the host waits for it."""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.profiler import ProfilerActivity, profile
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from .faked import kernels_faked

QUIET = (
    *("empty", "new_empty", "resize", "set_", "_unsafe_view", "_reshape_alias", "record_stream"),
    *("item", "_local_scalar_dense", "is_nonzero", "result_type", "can_cast"),
)
"""Operators that launch nothing, by the beginning of their names; views are found by their schemas."""


def launches(work: Callable[[], object]) -> Counter[str]:
    """Kernels by name: Triton's launches, and torch's operators that call no other and are no views.

    work is done once, with kernels that do nothing.
    """
    with kernels_faked() as launched, profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    assert found.profiler is not None
    results: Any = found.profiler.kineto_results
    events = [
        (event.start_ns(), event.start_ns() + event.duration_ns(), event.name(), event.start_thread_id())
        for event in results.events()
        if event.name().startswith("aten::")
    ]
    total = Counter(launched)
    for name in _leaves(events):
        total[name] += 1
    return total


def _leaves(events: Sequence[tuple[int, int, str, int]]) -> list[str]:
    """Names of the launching events (begin, end, name, thread) in which no other launching event is."""
    loud = sorted((e for e in events if _launches(e[2])), key=lambda e: (e[3], e[0], -e[1]))
    return [
        name
        for (begin, end, name, thread), following in zip(loud, [*loud[1:], (0, 0, "", -1)], strict=True)
        if not (following[3] == thread and begin <= following[0] and following[1] <= end)
    ]


@cache
def _launches(name: str) -> bool:
    """Whether the operator aten::... may launch a kernel: not a view, nor a question about a tensor."""
    plain = name.removeprefix("aten::")
    if plain.startswith(QUIET):
        return False
    packet = getattr(torch.ops.aten, plain, None)
    if packet is None:
        return True
    schema = getattr(packet, packet.overloads()[0])._schema
    aliases = [value.alias_info for value in schema.returns]
    return not any(alias is not None and not alias.is_write for alias in aliases)


READS = (
    "item",
    "tolist",
    "__bool__",
    "__float__",
    "__int__",
    "__index__",
    "cpu",
    "numpy",
    "nonzero",
    "__array__",
)
"""Methods of a tensor on the device after which the host has waited for it."""


class Waits(TorchFunctionMode):
    """Counts where the host would wait, by the line of Python: reads of device tensors, and copies of host memory that
    is not pinned to the device.

    The device is the CPU here, so tensors are followed: those made without a device, what follows from such alone, and
    those that share memory with `arrays` (a batch, even when it was moved) are the host's.
    """

    def __init__(self, arrays: Iterable[np.ndarray]) -> None:
        super().__init__()
        self._memory = {array.__array_interface__["data"][0] for array in arrays}
        self.found: Counter[str] = Counter()
        self._host = WeakIdKeyDictionary()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        name = getattr(func, "__name__", "")
        tensors = [leaf for leaf in tree_leaves((args, options)) if isinstance(leaf, Tensor)]
        ours = bool(tensors) and all(self._is_host(tensor) for tensor in tensors)
        moved = options.get("device") is not None or any(isinstance(leaf, torch.device) for leaf in args)
        if name in READS and tensors and not ours:
            self._count(f".{name}()")
        like = (
            name == "to" and len(tensors) == 2 and self._is_host(tensors[0]) and not self._is_host(tensors[1])
        )
        if name == "to" and (like or (moved and ours)) and not options.get("non_blocking", False):
            self._count(".to(device)")
        if name in ("tensor", "as_tensor") and moved:
            self._count(f"torch.{name}(device=)")
        result = func(*args, **options)
        if not moved and (ours or not tensors):
            for leaf in tree_leaves(result):
                if isinstance(leaf, Tensor):
                    self._host[leaf] = True
        return result

    def _is_host(self, tensor: Tensor) -> bool:
        return tensor in self._host or (type(tensor) is Tensor and tensor.data_ptr() in self._memory)

    def _count(self, what: str) -> None:
        frame = sys._getframe(2)
        while frame.f_back is not None and "/torch/" in frame.f_code.co_filename:
            frame = frame.f_back
        place = frame.f_code.co_filename.split("/taixue/")[-1]
        self.found[f"{place}:{frame.f_lineno} {what}"] += 1
