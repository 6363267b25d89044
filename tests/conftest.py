"""Settings of every test: the same examples each time, no failure for slowness, no need of a GPU."""

import os
from pathlib import Path

from hypothesis import settings

if not Path("/proc/driver/nvidia/version").exists():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton: kernels run on CPU tensors

settings.register_profile("taixue", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("taixue")
