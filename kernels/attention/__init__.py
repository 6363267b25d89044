"""Attention with an additive bias: one bias value per stack of layers, one attention call per layer.

`attention` runs Triton kernels that make T5's bias from its table, or the PyTorch reference (../dispatch says when).
"""

from .bias import AttentionBias, attention_bias
from .operator import attention
from .reference import relative_buckets

__all__ = ["AttentionBias", "attention", "attention_bias", "relative_buckets"]
