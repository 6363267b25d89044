"""A signal that arrives while ranks agree is not forgotten."""

import os
import signal

import pytest
import torch.distributed as dist

from taixue.parallel import group
from taixue.parallel.stop import StopRequest


def test_a_signal_during_the_question_counts_at_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    group.start(None, torch.device("cpu"), 60)
    asked = dist.all_reduce

    def interrupted(*arguments: object) -> None:
        asked(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        with StopRequest() as stop:
            monkeypatch.setattr(dist, "all_reduce", interrupted)
            assert not stop.agreed()
            monkeypatch.setattr(dist, "all_reduce", asked)
            assert stop.agreed()
            assert stop.name == "SIGTERM"
    finally:
        group.stop()
