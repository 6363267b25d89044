"""Joining a group where somebody else listens is a mistake with a name, not silence."""

import socket
import time
from collections.abc import Iterator

import pytest
import torch

from taixue import UserError
from taixue.parallel import group, rendezvous
from taixue.parallel.ranks import Ranks


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a listener that takes connections and says nothing."""
    monkeypatch.setattr(rendezvous, "ANSWER_SECONDS", 2.0)
    monkeypatch.delenv("TORCHELASTIC_USE_AGENT_STORE", raising=False)
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("rank", "says"),
    [(0, "rank 0 cannot listen there"), (1, "takes connections but does not answer as rank 0")],
)
def test_a_stranger_on_the_port(rank: int, says: str, stranger: int) -> None:
    begun = time.monotonic()
    with pytest.raises(UserError, match=f"127.0.0.1:{stranger}.* {says}.*export MASTER_PORT"):
        group.start(Ranks(rank, 2, rank, 2, "127.0.0.1", stranger), torch.device("cpu"), 1800)
    assert time.monotonic() - begun < 20
