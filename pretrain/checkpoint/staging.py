"""Host memory for saves in the background: what is copied there stays as it was when training goes on."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from taixue.base import UserError

_ALIGNMENT = 64  # bytes: where a buffer may begin


class Staging:
    """Copies this rank's tensors into host memory that is made once and serves every save of a run.

    It costs the bytes of what this rank holds (12 for each of its parameters, with fp32 weights and AdamW's moments),
    for as long as this object lives. For tensors on CUDA the memory is page-locked: the device writes it directly, at
    the speed of the bus.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}
        self._made_for: Any = None
        self._unlock: weakref.finalize | None = None

    def stage(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors as they are now, by the same keys: on the CPU, or as DTensors whose local tensor is.

        On return the tensors may change; what the call before returned is overwritten. Memory is made anew when keys,
        shapes or dtypes are not those of the call before. Raises UserError if CUDA cannot lock it. No collectives.
        """
        local = {key: _local(tensor) for key, tensor in tensors.items()}
        on_cuda = any(tensor.is_cuda for tensor in local.values())
        wanted = on_cuda, {key: (tensor.shape, tensor.dtype) for key, tensor in local.items()}
        if self._made_for != wanted:
            self._make(local, on_cuda)
            self._made_for = wanted
        for key, tensor in local.items():
            self._buffers[key].copy_(tensor, non_blocking=True)
        if on_cuda:
            torch.cuda.current_stream().record_event().synchronize()
        return {key: _placed(self._buffers[key], tensor) for key, tensor in tensors.items()}

    def _make(self, local: dict[str, Tensor], locked: bool) -> None:
        """A buffer for each tensor, all in one piece of memory; the old ones go first."""
        self._buffers, self._made_for = {}, None
        if self._unlock is not None:
            self._unlock()
            self._unlock = None
        starts, size = {}, 0
        for key, tensor in local.items():
            starts[key] = size
            size += -(-tensor.nbytes // _ALIGNMENT) * _ALIGNMENT
        memory = torch.empty(size, dtype=torch.uint8)
        if locked and size > 0:
            _lock(memory)
            self._unlock = weakref.finalize(self, _unlock, memory)
        for key, tensor in local.items():
            raw = memory[starts[key] : starts[key] + tensor.nbytes]
            self._buffers[key] = raw.view(tensor.dtype).view(tensor.shape)


def _local(tensor: Tensor) -> Tensor:
    tensor = tensor.detach()
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _placed(buffer: Tensor, like: Tensor) -> Tensor:
    """The buffer; where `like` is a DTensor, in one like it. from_local() would move it to the mesh's device."""
    return DTensor(buffer, like._spec, requires_grad=False) if isinstance(like, DTensor) else buffer


def _lock(memory: Tensor) -> None:
    """Page-lock what is there. torch's own pinned memory would round its size up to a power of two."""
    error = int(torch.cuda.cudart().cudaHostRegister(memory.data_ptr(), memory.nbytes, 0))
    if error != 0:
        raise UserError(
            f"{memory.nbytes:,} bytes of host memory, into which checkpoints are copied, cannot be page-locked (CUDA "
            f"error {error}): give each process that much host memory, or set checkpoint.asynchronous to false"
        )


def _unlock(memory: Tensor) -> None:
    torch.cuda.cudart().cudaHostUnregister(memory.data_ptr())
