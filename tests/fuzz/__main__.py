"""`python -m tests.fuzz --seconds 600`: by coverage with atheris (pip install atheris), else by hypothesis.

Every finding is printed once and its input kept in --out; `python -m tests.fuzz FILE ...` runs such inputs again.
"""

import argparse
import hashlib
import importlib.util
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("inputs", nargs="*", type=Path, help="inputs to run again")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"), help="folder for inputs that fail")
    parser.add_argument("--engine", choices=("atheris", "hypothesis"), default=None)
    options = parser.parse_args()
    engine = options.engine or _engine()
    if folder := os.environ.get("TAIXUE_FUZZ_NATIVE"):
        _use(Path(folder))
    if engine == "atheris" and not options.inputs:
        import atheris

        with atheris.instrument_imports(include=["taixue.data_tools", "taixue.pretrain.objectives"]):
            from .targets import run
    else:
        from .targets import run
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        if options.inputs:
            for path in options.inputs:
                run(path.read_bytes(), Path(folder))
            return
        from .seeds import seeds

        findings = _Findings(options.out)
        options.out.mkdir(exist_ok=True)
        last = options.out / "last"

        def one(data: bytes) -> None:
            findings.runs += 1
            last.write_bytes(data)  # of a crash, which nothing else can tell
            try:
                run(data, Path(folder))
            except Exception as error:
                findings.note(data, error)

        print(f"{engine}, {options.seconds} s", flush=True)
        start = list(seeds())
        for data in start:
            one(data)
        if engine == "atheris":
            sys.exit(_atheris(one, start, options.seconds, Path(folder), options.out))
        else:
            _hypothesis(one, start, options.seconds)
        findings.finish()


def _use(folder: Path) -> None:
    """The extensions that were built into this folder, in place of the usual ones."""
    for name in ("taixue.data_tools._native", "taixue.pretrain.objectives._native"):
        (path,) = folder.glob(f"{name.replace('.', '/')}.*")
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
        print(f"with {path}")


class _Findings:
    """Failures, each place in the code once."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._places: set[str] = set()
        self._began = time.time()
        self.runs = 0

    def note(self, data: bytes, error: Exception) -> None:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} {Path(frame.filename).name}:{frame.lineno}"
        if place in self._places:
            return
        self._places.add(place)
        self._out.mkdir(exist_ok=True)
        path = self._out / hashlib.sha256(data).hexdigest()[:16]
        path.write_bytes(data)
        print(f"FOUND {place}: {str(error)[:300]!r}; input kept as {path}", flush=True)
        traceback.print_exception(error, limit=-6)

    def finish(self) -> None:
        seconds = time.time() - self._began
        print(f"{self.runs:,} executions in {seconds:.0f} s, {len(self._places)} findings", flush=True)
        if self._places:
            sys.exit(1)


def _engine() -> str:
    try:
        import atheris  # noqa: F401
    except ImportError:
        return "hypothesis"
    return "atheris"


def _atheris(one: Callable[[bytes], None], start: list[bytes], seconds: int, folder: Path, out: Path) -> int:
    """By coverage of Python and, where it is sanitized, of C++; returns 0 when nothing was found.

    libFuzzer ends its process, so it has one of its own, and prints the number of executions.
    """
    import atheris

    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(start):
        (corpus / f"{number:04d}").write_bytes(data)
    before = {path.name for path in out.iterdir()} | {"last"}
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        kept = {path.name for path in out.iterdir()} - before
        print(f"{len(kept)} findings, exit status {status}", flush=True)
        return 1 if kept or status else 0
    limits = ["-max_len=4096", "-timeout=60", "-rss_limit_mb=4096", f"-max_total_time={seconds}"]
    atheris.Setup([sys.argv[0], str(corpus), *limits, "-print_final_stats=1"], one)
    atheris.Fuzz()
    return 0


def _hypothesis(one: Callable[[bytes], None], start: list[bytes], seconds: int) -> None:
    """Binary strings, and the first inputs with pieces of them exchanged, until the time is over."""
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis import strategies as st

    deadline = time.time() + seconds
    head, place = st.binary(min_size=3, max_size=3), st.integers(0, 1 << 16)
    spliced = st.tuples(st.sampled_from(start), place, place, st.binary(max_size=12)).map(
        lambda it: it[0][: (low := it[1] % len(it[0]))] + it[3] + it[0][max(low, it[2] % len(it[0])) :]
    )
    inputs = spliced | st.tuples(head, st.binary(max_size=400)).map(b"".join)

    while time.time() < deadline:

        @settings(
            max_examples=500,
            deadline=None,
            database=None,
            derandomize=False,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(inputs)
        def some(data: bytes) -> None:
            one(data)

        some()


if __name__ == "__main__":
    main()
