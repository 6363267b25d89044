"""Peak arithmetic of known devices, as their makers state it: dense matrix products, no sparsity."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Part of the device's name -> TFLOP/s by precision; fp32 means TF32-less vector units. More special names
# first.
PEAK_TFLOPS: dict[str, dict[str, float]] = {
    "B200": {"bf16": 2250, "fp16": 2250, "fp32": 75},
    "H20": {"bf16": 148, "fp16": 148, "fp32": 44},
    "H200": {"bf16": 989.4, "fp16": 989.4, "fp32": 66.9},
    "H100 PCIe": {"bf16": 756, "fp16": 756, "fp32": 51},
    "H100 NVL": {"bf16": 835, "fp16": 835, "fp32": 60},
    "H100": {"bf16": 989.4, "fp16": 989.4, "fp32": 66.9},
    "H800": {"bf16": 989.4, "fp16": 989.4, "fp32": 66.9},
    "A100": {"bf16": 312, "fp16": 312, "fp32": 19.5},
    "A800": {"bf16": 312, "fp16": 312, "fp32": 19.5},
    "L40S": {"bf16": 362, "fp16": 362, "fp32": 91.6},
    "A40": {"bf16": 149.7, "fp16": 149.7, "fp32": 37.4},
    "A10": {"bf16": 125, "fp16": 125, "fp32": 31.2},
    "V100": {"fp16": 125, "fp32": 15.7},
    "T4": {"fp16": 65, "fp32": 8.1},
    "RTX 4090": {"bf16": 165.2, "fp16": 165.2, "fp32": 82.6},
    "RTX 3090": {"bf16": 71, "fp16": 71, "fp32": 35.6},
}


def peak_flops(device: "torch.device", precision: str) -> float | None:
    """FLOP/s that `device` can reach in `precision` ("bf16", "fp16", "fp32"); None when it is not in the table."""
    if device.type != "cuda":
        return None
    import torch

    return lookup(torch.cuda.get_device_name(device), precision)


def lookup(name: str, precision: str) -> float | None:
    """The same by device name, which must contain an entry's name as whole words."""
    words = name.replace("-", " ").split()
    for entry, peaks in PEAK_TFLOPS.items():
        if set(entry.split()) <= set(words):
            return peaks[precision] * 1e12 if precision in peaks else None
    return None
