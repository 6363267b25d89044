"""Small tensors between host and device, without anyone waiting for what the device has still to do."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on `device`. From the CPU to CUDA by way of page-locked memory, in the order of the stream: a copy
    from other memory would wait for the device."""
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Readback:
    """A tensor on its way to the host: read() waits until it has arrived, and for nothing that was queued later."""

    def __init__(self, tensor: Tensor) -> None:
        self._host, self._arrived = tensor, None
        if tensor.device.type == "cuda":
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def read(self) -> Tensor:
        """The tensor, on the CPU."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._host
