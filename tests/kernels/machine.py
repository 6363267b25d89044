"""Where kernels are tested: compiled on this machine's GPU, else by Triton's interpreter on its CPU.

`CUDA_VISIBLE_DEVICES= pytest tests/kernels` interprets them on a machine with a GPU, too.
"""

import pytest
import torch

ON_GPU = torch.cuda.is_available()
KERNELS = "auto" if ON_GPU else "interpret"
DEVICE = torch.device("cuda:0" if ON_GPU else "cpu")
BACKEND = "inductor" if ON_GPU else "aot_eager"
"""Of torch.compile: on a CPU only that an op can be traced is of interest, and inductor takes long."""

needs_gpu = pytest.mark.skipif(not ON_GPU, reason="needs a CUDA device")
needs_interpreter = pytest.mark.skipif(
    ON_GPU, reason="this process compiles kernels for its GPU: CUDA_VISIBLE_DEVICES= interprets them"
)
