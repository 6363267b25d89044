"""Settings of every test: the same examples each time, no failure for slowness, no need of a GPU."""

import os

import torch
from hypothesis import settings

if not torch.cuda.is_available():  # a driver alone runs no kernel
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton: kernels run on CPU tensors

settings.register_profile("taixue", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("taixue")
