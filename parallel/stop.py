"""Being asked to stop: SIGTERM, SIGUSR1, SIGHUP and Ctrl-C become a flag that all ranks see at the same moment."""

import os
import signal
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .ranks import here

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


class StopRequest:
    """Inside `with`, the signals only raise the flag; a scheduler's warning thus never ends a step half-way.
    A second SIGINT (Ctrl-C) ends this process at once, whatever it is doing. SIGHUP stays ignored where it is: nohup.

    Schedulers signal one process, one node or all, at slightly different times; agreed() makes it one decision. Who
    sums numbers over all ranks anyway adds votes() to them and hands the sum to decide().
    """

    def __init__(self) -> None:
        self._received = 0  # by this process
        self._decided = 0  # by all ranks
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        heard = [number for number in SIGNALS if number != signal.SIGHUP or not nohup]
        self._before = {number: signal.signal(number, self._receive) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(
                number, signal.SIG_DFL
            )  # a Python handler would have to wait for a call that is stuck
            if _speaks():
                # Not through the log or stderr's buffer: the signal may have come in the middle of a write to them.
                with suppress(OSError):
                    os.write(
                        2, b"\ntaixue: stopping as soon as the run is saved; Ctrl-C again stops at once\n"
                    )
        self._received = number

    def agreed(self) -> bool:
        """Whether any rank was asked to stop. Collective: one all_reduce over all ranks, on the CPU, so that it waits
        for no device.
        """
        votes = self.votes()
        dist.all_reduce(votes)
        return self.decide(votes)

    def votes(self) -> Tensor:
        """(len(SIGNALS),) int64: 1 for the signal that this process received."""
        return torch.tensor([int(number == self._received) for number in SIGNALS])

    def decide(self, votes: Tensor) -> bool:
        """Whether any rank was asked to stop; `votes`: the sum of all ranks'."""
        asked = (number for number, count in zip(SIGNALS, votes.tolist(), strict=True) if count)
        self._decided = max(asked, default=self._decided)
        return self.decided

    @property
    def decided(self) -> bool:
        """Whether the ranks have agreed to stop."""
        return self._decided != 0

    @property
    def name(self) -> str:
        """The signal that was received, e.g. "SIGTERM"."""
        return signal.Signals(self._decided or self._received).name


def _speaks() -> bool:
    """Whether this process tells of Ctrl-C: alone, or as rank 0 where no agent does."""
    return here().rank == 0 and "TORCHELASTIC_RUN_ID" not in os.environ
