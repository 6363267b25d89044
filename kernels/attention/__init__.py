"""Attention with an additive bias: one bias value per stack of layers, one attention call per layer."""

from .reference import AttentionBias, attention, attention_bias, relative_buckets

__all__ = ["AttentionBias", "attention", "attention_bias", "relative_buckets"]
