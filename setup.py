"""Packages of the distribution: the top-level folders become sub-packages of the one import name `taixue`.

Everything else about the distribution is in pyproject.toml. The explicit package_dir makes an installation work where
the symlinks inside taixue/ do not (a zip archive, Windows); the symlinks are for type checkers and editors.
"""

import os
import sys
from glob import glob

from setuptools import Extension, find_namespace_packages, setup
from setuptools.command.build_ext import build_ext

FOLDERS = ("launch", "pretrain", "parallel", "data_tools", "kernels", "configs")

subpackages = [
    package for folder in FOLDERS for package in find_namespace_packages(include=[folder, f"{folder}.*"])
]

# C++ extensions: the module, and the folder of its sources.
NATIVE = {
    "taixue.data_tools._native": "data_tools/native",
    "taixue.pretrain.objectives._native": "pretrain/objectives/native",
}
COMPILED = ["-O3", "-g0", "-Wall", "-Wextra", "-Wno-attributes"]
# TAIXUE_SANITIZE=1: wrong memory accesses and undefined behaviour end the process (python -m tests.fuzz.sanitized).
SANITIZED = [
    "-O1",
    "-g1",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize=vptr",
    "-fno-sanitize-recover=all",
    "-fsanitize-coverage=trace-pc,trace-cmp",
]
WITHOUT = "taixue: installed without {}: {}; plain Python will do its work, many times slower"


class BuildNative(build_ext):
    """An extension that cannot be built is said so and left out; the plain twins do its work."""

    def build_extension(self, ext: Extension) -> None:
        try:
            super().build_extension(ext)
        except Exception as error:
            print(WITHOUT.format(ext.name, f"a C++17 compiler is needed: {error}"), file=sys.stderr)
            raise  # setuptools goes on, for the extension is optional


def native() -> list[Extension]:
    """The C++ extensions, unless TAIXUE_NATIVE=off or pybind11 is missing."""
    if os.environ.get("TAIXUE_NATIVE") == "off":
        return []
    try:
        from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
    except ImportError:
        print(WITHOUT.format("its C++ extensions", "pybind11 is missing"), file=sys.stderr)
        return []
    sanitized = SANITIZED if os.environ.get("TAIXUE_SANITIZE") else []
    ParallelCompile("TAIXUE_BUILD_JOBS", default=2).install()
    return [
        Pybind11Extension(
            name,
            sorted(glob(f"{folder}/*.cc")) + (["tests/fuzz/coverage.cc"] if sanitized else []),
            depends=sorted(glob(f"{folder}/*.h") + glob("taixue/base/*.h")),
            include_dirs=["."],
            cxx_std=17,
            extra_compile_args=COMPILED
            + sanitized,  # linked without a runtime: the process has GCC's, or libFuzzer's
            optional=True,
        )
        for name, folder in NATIVE.items()
    ]


setup(
    ext_modules=native(),
    cmdclass={"build_ext": BuildNative},
    packages=["taixue", "taixue.base", *(f"taixue.{package}" for package in subpackages)],
    package_dir={"taixue": "taixue", **{f"taixue.{folder}": folder for folder in FOLDERS}},
    include_package_data=False,  # what MANIFEST.in names is for an sdist
    package_data={
        "taixue": ["py.typed"],
        "taixue.configs": ["**/*.yaml"],
        "taixue.data_tools.sample": ["*.jsonl", "*.yaml", "facts/*.yaml"],
        "taixue.data_tools.annotate": ["*.tsv"],
        "taixue.kernels.optim": ["*.cu"],
        "taixue.launch": ["*.sh", "*.sbatch"],
    },
)
