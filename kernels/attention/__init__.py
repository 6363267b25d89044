"""Attention with an additive bias: one bias value per stack of layers, one attention call per layer."""

from .reference import attention, attention_bias, relative_buckets

__all__ = ["attention", "attention_bias", "relative_buckets"]
