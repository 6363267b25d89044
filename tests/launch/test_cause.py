"""Of many ranks' failures the one that is the cause, in at most six lines; real runs are in test_failures.py."""

import json
import signal
from pathlib import Path

from taixue.launch.cause import Ended, first_cause, kills_for_memory, lines

PEER = {
    "kind": "peer",
    "message": "rank 0 on node, after step 3 of 9: lost another rank (Connection closed by peer)",
    "where": "after step 3 of 9",
    "advice": "see another",
    "less_memory": "set batch.micro_size to 4 (now 8)",
    "saved": "saved: step 2",
    "logs": "logs: runs/run/logs",
}
MEMORY = PEER | {"kind": "memory", "message": "rank 1 on node: out of memory", "advice": "set less"}


def test_a_killed_rank_is_the_cause_though_its_peer_was_seen_first() -> None:
    ended = [Ended(0, 1, 10, PEER), Ended(1, -signal.SIGKILL, 11, {})]
    assert first_cause(ended).rank == 1
    said = lines(ended, out_of_memory=False)
    assert "rank 1 on" in said[0]
    assert "was killed by SIGKILL from outside (kill -9, a scheduler) after step 3 of 9" in said[0]
    assert said[1:] == ["saved: step 2", "logs: runs/run/logs"]


def test_the_kernel_that_was_out_of_memory_is_named_with_what_to_set() -> None:
    said = lines([Ended(0, 1, 10, PEER), Ended(1, -signal.SIGKILL, 10, {})], out_of_memory=True)
    assert "by the kernel, which was out of memory" in said[0]
    assert "set batch.micro_size to 4 (now 8)" in said
    assert len(said) <= 6


def test_what_the_agent_ended_itself_is_no_cause() -> None:
    stuck = Ended(0, -signal.SIGKILL, 40, {})  # the agent, after its patience
    ended = [stuck, Ended(2, -signal.SIGTERM, 9, {}), Ended(1, 1, 10, MEMORY), Ended(3, 1, 11, MEMORY)]
    assert first_cause(ended).rank == 1
    assert lines(ended, False)[0] == "rank 1 on node: out of memory (1 more ranks too)"


def test_who_has_spoken_for_itself_is_left_alone() -> None:
    assert lines([Ended(0, 2, 10, {})], False) == []


def test_a_word_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    path = tmp_path / "error.json"
    for content in ("", "{", "[]", json.dumps({"message": "torch's own"})):
        path.write_text(content)
        assert Ended.read(0, 1, 1, str(path)).word == {}
    path.write_text(json.dumps(PEER))
    assert Ended.read(0, 1, 1, str(path)).word == PEER


def test_the_kernel_counts_what_it_ends() -> None:
    assert kills_for_memory() >= 0
