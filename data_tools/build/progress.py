"""How far all ranks are, in one view: each rank keeps a small file in work/ and reads those of the others.

The files are also a sign of life: a rank that waits for another goes on waiting as long as that one's file changes.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taixue.base import files
from ..passes.cut import WORK_FOLDER
from ..passes import record

_INTERVAL = 1.0


class Progress:
    """Counts what this rank does, and shows what all do while `following` is open. Rank 0 has the bar."""

    def __init__(self, output: Path, rank: int, world: int) -> None:
        self._folder = output / WORK_FOLDER
        self._rank, self._world = rank, world
        self._state: dict[str, Any] = {}
        self._stop = threading.Event()
        self._path = self._folder / f"progress-{rank}.json"

    @contextmanager
    def following(self, name: str, number: int, expected: int, own: int, before: int) -> Iterator[None]:
        """While a pass runs. expected: amount of all ranks; own: of this one; before: of it, finished earlier."""
        from rich import progress

        self._state = {"pass": number, "done": before, "own": own, "new": 0, "started": time.time()}
        columns = (
            progress.TextColumn(name),
            progress.BarColumn(),
            progress.TextColumn("{task.fields[text]}"),
            progress.TimeElapsedColumn(),
        )
        stop = threading.Event()
        with progress.Progress(*columns, disable=self._rank > 0 or not expected, refresh_per_second=4) as bar:
            task = bar.add_task("", total=expected, text="")

            def follow() -> None:
                while True:
                    self._write()
                    done, speed, ranks = self._sum(number)
                    left = f", {_clock((expected - done) / speed)} left" if speed and done < expected else ""
                    also = f" of {ranks} ranks" if ranks > 1 else ""
                    text = f"{done / 1e6:,.0f} MB, {speed / 1e6:.1f} MB/s{also}{left}"
                    bar.update(task, completed=min(done, expected), text=text)
                    if stop.wait(_INTERVAL):
                        return

            thread = threading.Thread(target=follow, daemon=True)
            thread.start()
            finished = False
            try:
                yield
                finished = True
            finally:
                stop.set()
                thread.join()
                self._write()
                done, speed, _ = self._sum(number)
                # What was expected is an estimate by sizes of files: a pass that is done is at its end.
                bar.update(task, total=done if finished else expected, completed=done, text=f"{done / 1e6:,.0f} MB, {speed / 1e6:.1f} MB/s")

    def add(self, amount: int) -> None:
        """Count work of this rank."""
        self._state["done"] += amount
        self._state["new"] += amount

    def life(self) -> object:
        """Changes when any rank has shown a sign of life."""
        return [
            (path.name, path.stat().st_mtime_ns)
            for path in sorted(self._folder.glob("progress-*.json"))
            if path != self._path and path.exists()
        ]

    def close(self) -> None:
        """Remove this rank's file."""
        self._path.unlink(missing_ok=True)
        files.remove_temporaries(self._path)

    def _write(self) -> None:
        self._state["seconds"] = time.time() - self._state["started"]
        temporary = files.temporary_name(self._path)
        try:
            temporary.write_bytes(files.canonical_json(self._state))
            temporary.replace(self._path)
        except OSError:
            # A full disk is noticed by the work itself; or another rank was the last one and has removed work/.
            temporary.unlink(missing_ok=True)

    def _sum(self, number: int) -> tuple[int, float, int]:
        """(amount done by all ranks, amount per second, ranks at work) in this pass."""
        done, speed, ranks = 0, 0.0, 0
        for rank in range(self._world):
            state = self._state if rank == self._rank else record.read(self._folder / f"progress-{rank}.json")
            if state.get("pass", -1) > number:
                done += state["own"]
            elif state.get("pass") == number:
                done += state["done"]
                speed += state["new"] / max(state["seconds"], 1e-9)
                ranks += state["done"] < state["own"]
        return done, speed, max(ranks, 1)


def _clock(seconds: float) -> str:
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
