"""`python -m taixue.data_tools.bench.where CONFIG OUT`: one build in this process, and in which module its time goes.

A timer of CPU time asks again and again which of our functions runs, and counts the time since it asked before for the
innermost one. So code in C++ and in libraries counts for the function of ours that called it.
"""

import signal
import sys
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

import orjson

from taixue.base import files

from ..build.builder import build
from ..config import CorpusBuildConfig

_INTERVAL = 0.002
_ROOT = Path(__file__).parents[1]
_START_UP = "start-up"
_MODULE = "<module>"  # the code of a module, when it is imported


class Clock:
    """CPU time of this process by module, while it is entered. Only in the main thread."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._labels: dict[tuple[str, str], str] = {}
        self._root = str(_ROOT) + "/"
        self._before = 0.0

    def __enter__(self) -> "Clock":
        self._before = time.process_time()
        signal.signal(signal.SIGPROF, self._ask)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        now = time.process_time()
        self.seconds[self._module(frame)] += now - self._before
        self._before = now

    def _module(self, frame: FrameType | None) -> str:
        while frame is not None:
            path, name = frame.f_code.co_filename, frame.f_code.co_name
            # A comprehension or a lambda is part of the function around it.
            if path.startswith(self._root) and path != __file__ and (name[0] != "<" or name == _MODULE):
                key = (path, name)
                if key not in self._labels:
                    self._labels[key] = _label(*key)
                return self._labels[key]
            frame = frame.f_back
        return _START_UP


def _label(path: str, function: str) -> str:
    """ "annotate.project", "read", "native.normalize": the module, and of the native functions which."""
    folder, *rest = Path(path).relative_to(_ROOT).with_suffix("").parts
    if function == _MODULE:
        return _START_UP
    if folder == "native":
        return f"native.{function if rest == ['__init__'] else rest[0]}"
    if folder == "read" or folder.startswith("tokenizer"):
        return folder.split("_")[0]
    return ".".join([folder, *(name for name in rest if name != "__init__")])


def main(config: Path, out: Path) -> None:
    """Build config (JSON) and write {module: CPU-seconds}."""
    settings = CorpusBuildConfig.model_validate(orjson.loads(config.read_bytes()))
    with Clock() as clock:
        build(settings)
    clock.seconds[_START_UP] += time.process_time() - sum(clock.seconds.values())
    files.write(out, files.readable_json(dict(clock.seconds)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
