"""Being asked to stop: SIGTERM, SIGUSR1 and Ctrl-C become a flag that all ranks see at the same moment."""

import os
import signal
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.distributed as dist

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Inside `with`, the signals only raise the flag; a scheduler's warning thus never ends a step half-way.
    A second SIGINT (Ctrl-C) of this process raises KeyboardInterrupt.

    Schedulers signal one process, one node or all, at slightly different times; agreed() makes it one decision.
    """

    def __init__(self) -> None:
        self._received = 0
        self._interrupted = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._before = {number: signal.signal(number, self._receive) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = True
            # Not through the log or stderr's buffer: the signal may have come in the middle of a write to them.
            os.write(2, b"\ntaixue: stopping as soon as the run is saved; Ctrl-C again stops at once\n")
        self._received = number

    def agreed(self) -> bool:
        """Whether any rank was asked to stop. Collective: one all_reduce of a number over all ranks, on
        the CPU, so that it waits for no device.
        """
        number = torch.tensor(self._received)
        dist.all_reduce(number, dist.ReduceOp.MAX)
        agreed = int(number)
        if agreed:  # else a signal that came since `number` was made would be forgotten
            self._received = agreed
        return agreed != 0

    @property
    def name(self) -> str:
        """The signal that was received, e.g. "SIGTERM"."""
        return signal.Signals(self._received).name
