"""T5 (Raffel et al. 2020): v1.0 (ReLU, tied embeddings, scaled logits) and v1.1 (gated GELU, untied).

A T5 is one sequence of layers [encoder 0..n-1 | decoder 0..m-1]; any contiguous slice of it is a module of its own
with the same parameter names, so that slices can be chained: (encoder states, decoder states) go from one to the next.

A stack's layers share one table of relative biases; with layer_tables each has its own.

Letters: B batch, S source length, T target length, D model width, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taixue.kernels.attention import AttentionBias, attention_bias
from taixue.kernels.dropout.places import Dropout
from taixue.kernels.loss import Targets

from ..layers import (
    Attention,
    FeedForward,
    GatedFeedForward,
    LMHead,
    Positions,
    RelativeBias,
    RMSNorm,
    known,
    targets_of,
)
from ..linguistic import LinguisticFeatures, group_bias, group_ids
from .config import T5Config
from .inputs import INPUTS, LABELS


class T5(nn.Module):
    """The layers of `config` in the range `layers` (default: all of them)."""

    def __init__(self, config: T5Config, layers: range | None = None, *, layer_tables: bool = False) -> None:
        super().__init__()
        boundary = config.num_encoder_layers
        total = boundary + config.num_decoder_layers
        layers = range(total) if layers is None else layers
        self.config = config
        self.is_first, self.is_last = layers.start == 0, layers.stop == total
        encoder_layers = range(layers.start, min(layers.stop, boundary))
        decoder_layers = range(max(layers.start, boundary) - boundary, layers.stop - boundary)

        if self.is_first or (self.is_last and config.tie_embeddings):
            self.shared = nn.Embedding(config.vocab_size, config.d_model)
        if self.is_first:
            self.features = LinguisticFeatures(config.features, config.d_model)
        self.encoder = T5Encoder(config, encoder_layers, layer_tables) if encoder_layers else None
        self.memory = nn.Identity()  # what cross-attention sees of the encoder: one place per slice
        self.decoder = T5Decoder(config, decoder_layers, layer_tables) if decoder_layers else None
        self.source_dropout, self.target_dropout = Dropout(config.dropout), Dropout(config.dropout)
        if self.is_last:
            self.lm_head = LMHead(config.d_model, config.vocab_size, tied=config.tie_embeddings, bias=False)

    def forward(self, *hidden: Tensor, **batch: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Run the slice.

        hidden: what the slice before returned, nothing for the first slice. batch: see inputs.py. Returns (encoder
        states (B, S, D), decoder states (B, T, D)); the last slice returns logits (B, T, V), or with labels a (1,)
        tensor: the sum of cross-entropies. TypeError for a key that is not in inputs.py.
        """
        known(batch, INPUTS, LABELS)
        source_ids, target_ids = batch["input_ids"], batch["decoder_input_ids"]
        mask, segments, samples = batch.get("attention_mask"), batch.get("segments"), batch.get("samples")
        if self.is_first:
            words = self.features(self.shared(source_ids), batch.get("pos_ids"), batch.get("role_ids"))
            source = self.source_dropout(words, samples)
            target = self.target_dropout(self.shared(target_ids), samples)
        else:
            source, target = hidden
        if self.encoder is not None:
            groups = group_ids(self.config.features, batch.get("word_groups"), batch.get("clause_groups"))
            source = self.encoder(source, source_ids.shape[1], mask, segments, groups, samples)
        if self.decoder is not None:
            length, memory = target_ids.shape[1], self.memory(source)
            target_segments = batch.get("decoder_segments")
            target = self.decoder(target, memory, length, mask, target_segments, segments, samples)
        if not self.is_last:
            return source, target
        targets = targets_of(batch)
        if targets is None:
            return self.lm_head(self._scaled(target), self._tied_weight(), None)
        return self.losses(target, targets)

    def losses(self, target: Tensor, targets: Targets) -> Tensor:
        """Final decoder states (B, T, D) -> (n_losses,): sums of the losses: labels and, if it is there, a teacher."""
        hard, soft = self.lm_head(self._scaled(target), self._tied_weight(), targets)
        return torch.stack((hard,) if targets.teacher is None else (hard, soft))

    def _scaled(self, target: Tensor) -> Tensor:
        return target * self.config.d_model**-0.5 if self.config.tie_embeddings else target

    def _tied_weight(self) -> Tensor | None:
        return self.shared.weight if self.config.tie_embeddings else None


class T5Encoder(nn.Module):
    """Encoder layers; the last of the stack is followed by the final norm."""

    def __init__(self, config: T5Config, layers: range, layer_tables: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({str(i): T5EncoderLayer(config, i, layer_tables) for i in layers})
        self.relative_bias = None if layer_tables else _relative_bias(config)
        if layers.stop == config.num_encoder_layers:
            self.final_norm = RMSNorm(config.d_model, config.layer_norm_eps)
            self.dropout = Dropout(config.dropout)
        self.ends = layers.stop == config.num_encoder_layers

    def forward(
        self,
        x: Tensor,
        length: int,
        mask: Tensor | None,
        segments: Tensor | None = None,
        groups: Tensor | None = None,
        samples: Tensor | None = None,
    ) -> Tensor:
        """x (B, S, D), length S, mask (B, S) bool, segments (B, S), groups (B, G, S) -> (B, S, D)."""
        at = Positions(length, mask, causal=False, dtype=x.dtype, segments=segments, groups=groups)
        bias = at if self.relative_bias is None else self.relative_bias(at)
        for layer in self.layers.values():
            x = layer(x, bias, samples)
        return self.dropout(self.final_norm(x), samples) if self.ends else x


class T5Decoder(nn.Module):
    """Decoder layers; the last of the stack is followed by the final norm."""

    def __init__(self, config: T5Config, layers: range, layer_tables: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({str(i): T5DecoderLayer(config, layer_tables) for i in layers})
        self.relative_bias = None if layer_tables else _relative_bias(config)
        if layers.stop == config.num_decoder_layers:
            self.final_norm = RMSNorm(config.d_model, config.layer_norm_eps)
            self.dropout = Dropout(config.dropout)
        self.ends = layers.stop == config.num_decoder_layers

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        length: int,
        memory_mask: Tensor | None,
        segments: Tensor | None = None,
        memory_segments: Tensor | None = None,
        samples: Tensor | None = None,
    ) -> Tensor:
        """x (B, T, D), memory (B, S, D), length T, memory_mask (B, S) bool, segments (B, T), memory_segments (B, S)
        -> (B, T, D)."""
        at = Positions(length, None, causal=True, dtype=x.dtype, segments=segments)
        bias = at if self.relative_bias is None else self.relative_bias(at)
        cross_bias = attention_bias(
            length,
            memory.shape[1],
            key_mask=memory_mask,
            query_segments=segments,
            key_segments=memory_segments,
            dtype=x.dtype,
            device=x.device,
        )
        for layer in self.layers.values():
            x = layer(x, memory, bias, cross_bias, samples)
        return self.dropout(self.final_norm(x), samples) if self.ends else x


class T5EncoderLayer(nn.Module):
    """x + attention(norm(x)), then x + ffn(norm(x)). bias: the positions where the layer has a table of its own."""

    def __init__(self, config: T5Config, index: int, layer_tables: bool) -> None:
        super().__init__()
        self.self_attention_norm = RMSNorm(config.d_model, config.layer_norm_eps)
        self.self_attention = _attention(config)
        self.relative_bias = _relative_bias(config) if layer_tables else None
        self.group_bias = group_bias(config.features, index, config.num_heads)
        self.ffn_norm = RMSNorm(config.d_model, config.layer_norm_eps)
        self.ffn = _feed_forward(config)
        self.self_attention_dropout, self.ffn_dropout = Dropout(config.dropout), Dropout(config.dropout)

    def forward(
        self, x: Tensor, bias: AttentionBias | Positions | None, samples: Tensor | None = None
    ) -> Tensor:
        bias = bias if self.relative_bias is None else self.relative_bias(bias)
        scale = None if self.group_bias is None else self.group_bias()
        normed = self.self_attention_norm(x)
        attended = self.self_attention(normed, bias, group_scale=scale, samples=samples)
        x, normed = self.ffn_norm.add(x, attended, self.self_attention_dropout, samples)
        return x + self.ffn_dropout(self.ffn(normed, samples), samples)


class T5DecoderLayer(nn.Module):
    """Self-attention, cross-attention on the memory, feed-forward; each x + f(norm(x)). bias: as in the encoder."""

    def __init__(self, config: T5Config, layer_tables: bool) -> None:
        super().__init__()
        self.self_attention_norm = RMSNorm(config.d_model, config.layer_norm_eps)
        self.self_attention = _attention(config)
        self.relative_bias = _relative_bias(config) if layer_tables else None
        self.cross_attention_norm = RMSNorm(config.d_model, config.layer_norm_eps)
        self.cross_attention = _attention(config)
        self.ffn_norm = RMSNorm(config.d_model, config.layer_norm_eps)
        self.ffn = _feed_forward(config)
        self.self_attention_dropout = Dropout(config.dropout)
        self.cross_attention_dropout = Dropout(config.dropout)
        self.ffn_dropout = Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        bias: AttentionBias | Positions | None,
        cross_bias: AttentionBias | None,
        samples: Tensor | None = None,
    ) -> Tensor:
        bias = bias if self.relative_bias is None else self.relative_bias(bias)
        update = self.self_attention(self.self_attention_norm(x), bias, samples=samples)
        x, normed = self.cross_attention_norm.add(x, update, self.self_attention_dropout, samples)
        update = self.cross_attention(normed, cross_bias, memory, samples=samples)
        x, normed = self.ffn_norm.add(x, update, self.cross_attention_dropout, samples)
        return x + self.ffn_dropout(self.ffn(normed, samples), samples)


def _attention(config: T5Config) -> Attention:
    # T5 folds 1/sqrt(K) into the initialisation of q, so scores are not scaled.
    return Attention(
        config.d_model, config.num_heads, config.d_kv, bias=False, scale=1.0, dropout=config.dropout
    )


def _relative_bias(config: T5Config) -> RelativeBias:
    return RelativeBias(config.relative_buckets, config.num_heads, config.relative_max_distance)


def _feed_forward(config: T5Config) -> nn.Module:
    if config.ffn == "relu":
        return FeedForward(config.d_model, config.d_ff, F.relu, bias=False, dropout=config.dropout)
    return GatedFeedForward(config.d_model, config.d_ff, dropout=config.dropout)
