"""How long a run still takes: by the wall time of its last reports, so that evaluation and saving are in it."""

from collections import deque
from collections.abc import Mapping
from typing import Any

RECENT = 100


class Eta:
    """Fed with the records of one start, in order."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._seen: deque[tuple[int, float]] = deque(maxlen=RECENT)

    def after(self, record: Mapping[str, Any]) -> float | None:
        """Seconds from the time of this record to the end of the run's last step; None while there is no telling."""
        if "loss" in record and "time" in record:
            self._seen.append((record["step"], record["time"]))
        if len(self._seen) < 2 or "time" not in record:
            return None
        (first, began), (last, now) = self._seen[0], self._seen[-1]
        if last <= first or now <= began:
            return None
        return (self._steps - record["step"]) * (now - began) / (last - first)


def duration(seconds: float) -> str:
    """For people: 8 s, 12 min, 3 h 05 min, 2 d 04 h."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s" if whole < 600 else f"{whole // 60} min"
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    hours = minutes // 60
    return f"{hours // 24:,} d {hours % 24:02} h"
