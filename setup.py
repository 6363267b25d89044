"""Packages of the distribution: the top-level folders become sub-packages of the one import name `taixue`.

Everything else about the distribution is in pyproject.toml. The explicit package_dir makes an installation work where
the symlinks inside taixue/ do not (a zip archive, Windows); the symlinks are for type checkers and editors.
"""

from setuptools import find_namespace_packages, setup

FOLDERS = ("launch", "pretrain", "parallel", "data_tools", "kernels", "configs")

subpackages = [
    package for folder in FOLDERS for package in find_namespace_packages(include=[folder, f"{folder}.*"])
]

setup(
    packages=["taixue", *(f"taixue.{package}" for package in subpackages)],
    package_dir={"taixue": "taixue", **{f"taixue.{folder}": folder for folder in FOLDERS}},
    package_data={
        "taixue": ["py.typed"],
        "taixue.configs": ["**/*.yaml"],
        "taixue.data_tools": ["sample/*"],
        "taixue.launch": ["*.sh", "*.sbatch"],
    },
)
