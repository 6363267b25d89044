"""Which of the failures of a machine's ranks is the cause, and what the console says of it. No torch.

Most failures follow from one: a rank that was killed or ran out of memory takes its peers with it, and what is left is
ended by the agent. Ranks leave word of their own errors (pretrain/run/failure.py); of one that a signal killed only its
exit status is known, and whether the kernel was out of memory meanwhile.
"""

import json
import platform
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_VMSTAT = Path("/proc/vmstat")
_AGENTS_OWN = -signal.SIGTERM
"""Exit status of a rank that the agent ended because of another's failure."""


@dataclass(frozen=True)
class Ended:
    """A rank that failed. status: exit status, negative after a signal. at: when, in seconds. word: what it left
    (fields of run/failure.Failure), empty if nothing."""

    rank: int
    status: int
    at: int
    word: Mapping[str, Any]

    @classmethod
    def read(cls, rank: int, status: int, at: int, error_file: str) -> "Ended":
        """With the word in its error file, if there is one."""
        word: Any = {}
        with suppress(OSError, ValueError):
            word = json.loads(Path(error_file).read_text(encoding="utf-8"))
        return cls(rank, status, at, word if isinstance(word, dict) and "kind" in word else {})


def first_cause(ended: Sequence[Ended]) -> Ended:
    """Of those that failed here the first whose failure does not follow from another's."""

    def order(one: Ended) -> tuple[bool, bool, int, int]:
        return one.status == _AGENTS_OWN, one.word.get("kind") == "peer", one.at, one.rank

    return min(ended, key=order)


def lines(ended: Sequence[Ended], out_of_memory: bool) -> list[str]:
    """What the console says, cause first, at most six lines; nothing where the program has spoken for itself.

    out_of_memory: whether the kernel has ended processes for want of memory since the ranks were started.
    """
    cause = first_cause(ended)
    if cause.word:
        alike = sum(one is not cause and one.word.get("kind") == cause.word["kind"] for one in ended)
        more = f" ({alike} more ranks too)" if alike and cause.word["kind"] == "memory" else ""
        parts = [cause.word["message"] + more, *(cause.word[key] for key in ("saved", "advice", "logs"))]
        return [part for part in parts if part]
    if cause.status >= 0 or cause.status == _AGENTS_OWN:
        return []
    word = next((one.word for one in ended if one.word), {})
    name = signal.Signals(-cause.status).name
    by = ""
    if cause.status == -signal.SIGKILL:
        by = (
            " by the kernel, which was out of memory"
            if out_of_memory
            else " from outside (kill -9, a scheduler)"
        )
    where = f" {word['where']}" if word.get("where") else ""
    said = [f"rank {cause.rank} on {platform.node()} was killed by {name}{by}{where}", word.get("saved", "")]
    said += [word.get("less_memory", "") if by and out_of_memory else "", word.get("logs", "")]
    return [part for part in said if part]


def kills_for_memory() -> int:
    """How many processes the kernel has ended for want of memory since it was booted; 0 where it does not say."""
    with suppress(OSError, ValueError, StopIteration):
        found = next(line for line in _VMSTAT.read_text().splitlines() if line.startswith("oom_kill "))
        return int(found.split()[1])
    return 0
