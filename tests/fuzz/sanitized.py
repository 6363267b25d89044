"""`python -m tests.fuzz.sanitized --seconds 1200`: the fuzz with C++ that ends at a wrong memory access.

g++ builds the extensions with the address and undefined-behaviour sanitizers into build/sanitized (once, minutes).
Where atheris is installed tests.fuzz runs with the sanitizers that it brings, and coverage of Python and C++ leads it;
else, or with --engine hypothesis, with GCC's. Arguments are those of tests.fuzz.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path("build/sanitized")


def main() -> None:
    build = [sys.executable, "setup.py", "build_ext"]
    build += ["--build-lib", str(FOLDER / "lib"), "--build-temp", str(FOLDER / "temp")]
    subprocess.run(build, check=True, env=os.environ | {"TAIXUE_SANITIZE": "1"})
    atheris = None if "hypothesis" in sys.argv else importlib.util.find_spec("atheris")
    if atheris is not None and atheris.origin is not None:
        libraries = [str(Path(atheris.origin).parent.parent / "asan_with_fuzzer.so"), _of_gcc("libstdc++")]
    else:
        libraries = [_of_gcc(name) for name in ("libasan", "libubsan", "libstdc++")]
    own = {
        "LD_PRELOAD": " ".join(libraries),
        # Python's own allocations are not followed to their end; mapped memory is asked for with some to spare.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "PYTHONMALLOC": "malloc",
        "TAIXUE_FUZZ_NATIVE": str(FOLDER / "lib"),
    }
    sys.exit(subprocess.call([sys.executable, "-m", "tests.fuzz", *sys.argv[1:]], env=os.environ | own))


def _of_gcc(name: str) -> str:
    return subprocess.check_output(["gcc", f"-print-file-name={name}.so"], text=True).strip()


if __name__ == "__main__":
    main()
