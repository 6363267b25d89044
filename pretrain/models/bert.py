"""BERT (Devlin et al. 2019), post-LN, and Megatron-BERT (Shoeybi et al. 2019), pre-LN, with MLM and SOP heads.

Any contiguous slice of the layers is a module of its own with the same parameter names.

Letters: B batch, S sequence length, D model width, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taixue.kernels.attention import AttentionBias, attention_bias
from taixue.kernels.gated_ffn import ACTIVATIONS
from taixue.kernels.loss import cross_entropy_sum

from ..config.schema import BertConfig
from .layers import Attention, FeedForward, LayerNorm, LMHead


class Bert(nn.Module):
    """The layers of `config` in the range `layers` (default: all of them)."""

    loss_names = ("mlm", "sop")

    def __init__(self, config: BertConfig, layers: range | None = None) -> None:
        super().__init__()
        layers = range(config.num_layers) if layers is None else layers
        self.is_first, self.is_last = layers.start == 0, layers.stop == config.num_layers
        if self.is_first or self.is_last:  # the last slice needs the word embeddings for its tied MLM head
            self.embeddings = BertEmbeddings(config, only_words=not self.is_first)
        self.layers = nn.ModuleDict({str(i): BertLayer(config) for i in layers})
        if self.is_last:
            if config.norm == "pre":
                self.final_norm = LayerNorm(config.d_model, config.layer_norm_eps)
            self.mlm_transform = MlmTransform(config)
            self.lm_head = LMHead(config.d_model, config.vocab_size, tied=True, bias=True)
            self.pooler = Pooler(config)
            self.sop_head = nn.Linear(config.d_model, 2)

    def forward(
        self,
        *hidden: Tensor,
        input_ids: Tensor,
        token_type_ids: Tensor,
        attention_mask: Tensor | None = None,
        labels: Tensor | None = None,
        sop_labels: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Run the slice.

        hidden: the states (B, S, D) of the slice before, nothing for the first slice. input_ids, token_type_ids (B, S);
        attention_mask (B, S) bool (False: padding); labels (B, S) with IGNORE where nothing is predicted; sop_labels
        (B,) 0 in order, 1 swapped. Returns states (B, S, D); the last slice returns (MLM logits (B, S, V), SOP logits
        (B, 2)), or with labels a (2,) tensor of the sums of cross-entropies (MLM, SOP; SOP 0 without sop_labels).
        """
        x = self.embeddings(input_ids, token_type_ids) if self.is_first else hidden[0]
        length = input_ids.shape[1]
        bias = attention_bias(length, length, key_mask=attention_mask, dtype=x.dtype, device=x.device)
        for layer in self.layers.values():
            x = layer(x, bias)
        if not self.is_last:
            return x
        x = self.final_norm(x) if hasattr(self, "final_norm") else x
        mlm = self.lm_head(self.mlm_transform(x), self.embeddings.word.weight, labels)
        if labels is not None and sop_labels is None:
            return torch.stack((mlm, mlm.new_zeros(())))
        sop_logits = self.sop_head(self.pooler(x))
        if labels is None or sop_labels is None:
            return mlm, sop_logits
        return torch.stack((mlm, cross_entropy_sum(sop_logits, sop_labels)))


class BertEmbeddings(nn.Module):
    """Word, position and segment embeddings; normed in post-LN models."""

    def __init__(self, config: BertConfig, *, only_words: bool) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.d_model)
        if not only_words:
            self.position = nn.Embedding(config.max_positions, config.d_model)
            self.token_type = nn.Embedding(config.token_types, config.d_model)
            if config.norm == "post":
                self.norm = LayerNorm(config.d_model, config.layer_norm_eps)
            self.dropout = nn.Dropout(config.dropout)

    def forward(self, input_ids: Tensor, token_type_ids: Tensor) -> Tensor:
        """(B, S), (B, S) -> (B, S, D)."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        x = self.word(input_ids) + self.position(positions) + self.token_type(token_type_ids)
        return self.dropout(self.norm(x) if hasattr(self, "norm") else x)


class BertLayer(nn.Module):
    """Post-LN: x = norm(x + f(x)). Pre-LN: x = x + f(norm(x))."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        head_dim = config.d_model // config.num_heads
        self.pre = config.norm == "pre"
        self.attention_norm = LayerNorm(config.d_model, config.layer_norm_eps)
        self.attention = Attention(
            config.d_model,
            config.num_heads,
            head_dim,
            bias=True,
            scale=head_dim**-0.5,
            dropout=config.dropout,
        )
        self.ffn_norm = LayerNorm(config.d_model, config.layer_norm_eps)
        self.ffn = FeedForward(
            config.d_model, config.d_ff, ACTIVATIONS[config.activation], bias=True, dropout=0.0
        )
        self.dropout = config.dropout

    def forward(self, x: Tensor, bias: AttentionBias | None) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        dropout = self.dropout if self.training else 0.0
        if self.pre:
            x, normed = self.ffn_norm.add(x, self.attention(self.attention_norm(x), bias), dropout)
            return x + F.dropout(self.ffn(normed), dropout)
        _, x = self.attention_norm.add(x, self.attention(x, bias), dropout)
        return self.ffn_norm.add(x, self.ffn(x), dropout)[1]


class MlmTransform(nn.Module):
    """norm(activation(dense(x))) before the vocabulary projection. (B, S, D) -> (B, S, D)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.dense = nn.Linear(config.d_model, config.d_model)
        self.norm = LayerNorm(config.d_model, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.activation(self.dense(x)))


class Pooler(nn.Linear):
    """tanh(dense(state of [CLS])). (B, S, D) -> (B, D)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.d_model, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, 0]).tanh()
