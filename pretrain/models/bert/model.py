"""BERT (Devlin et al. 2019), post-LN, and Megatron-BERT (Shoeybi et al. 2019), pre-LN, with MLM and SOP heads
and the auxiliary heads of Mengzi (Zhang et al. 2021): part of speech and entity type of each token, and the relation of
a removed discourse connective (Nie et al. 2019, DisSent).

Any contiguous slice of the layers is a module of its own with the same parameter names.

Letters: B batch, S sequence length, D model width, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taixue.kernels.attention import AttentionBias, attention_bias
from taixue.kernels.gated_ffn import ACTIVATIONS
from taixue.kernels.loss import IGNORE, cross_entropy_sum

from ...config.schema import BertConfig
from ..layers import Attention, FeedForward, LayerNorm, LMHead
from ..linguistic import LinguisticFeatures, group_bias, group_ids
from .knowledge import KnowledgeInjection, RelationalDecoder

SMOOTHING = 0.1
"""Label smoothing of the auxiliary heads: their labels are another model's guesses."""


class Bert(nn.Module):
    """The layers of `config` in the range `layers` (default: all of them)."""

    def __init__(self, config: BertConfig, layers: range | None = None) -> None:
        super().__init__()
        layers = range(config.num_layers) if layers is None else layers
        self.config = config
        self.is_first, self.is_last = layers.start == 0, layers.stop == config.num_layers
        if self.is_first or self.is_last:  # the last slice needs the word embeddings for its tied MLM head
            self.embeddings = BertEmbeddings(config, only_words=not self.is_first)
        self.layers = nn.ModuleDict({str(i): BertLayer(config, i) for i in layers})
        if self.is_last:
            if config.norm == "pre":
                self.final_norm = LayerNorm(config.d_model, config.layer_norm_eps)
            self.mlm_transform = MlmTransform(config)
            self.lm_head = LMHead(config.d_model, config.vocab_size, tied=True, bias=True)
            self.pooler = Pooler(config)
            self.sop_head = nn.Linear(config.d_model, 2)
            if config.knowledge_width:
                self.relational = RelationalDecoder(
                    config.knowledge_width, config.d_model, config.layer_norm_eps
                )
            self.tagged = nn.Identity()  # the states that taggers see: one place for all
            self.heads = nn.ModuleDict(
                {name: nn.Linear(config.d_model, classes) for name, classes in head_classes(config).items()}
            )

    def forward(
        self,
        *hidden: Tensor,
        input_ids: Tensor,
        token_type_ids: Tensor,
        attention_mask: Tensor | None = None,
        segments: Tensor | None = None,
        labels: Tensor | None = None,
        sop_labels: Tensor | None = None,
        pos_labels: Tensor | None = None,
        ne_labels: Tensor | None = None,
        relation_labels: Tensor | None = None,
        pos_ids: Tensor | None = None,
        role_ids: Tensor | None = None,
        word_groups: Tensor | None = None,
        clause_groups: Tensor | None = None,
        mentions: Tensor | None = None,
        knowledge: Tensor | None = None,
        mention_relations: Tensor | None = None,
        answer_labels: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Run the slice.

        hidden: the states (B, S, D) of the slice before, nothing for the first slice. input_ids, token_type_ids (B, S);
        attention_mask (B, S) bool (False: padding); segments (B, S): a position attends to those of the same number
        only, and positions count from 0 in each; labels (B, S) with IGNORE where nothing is predicted; sop_labels
        (B,) 0 in order, 1 swapped; pos_labels, ne_labels (B, S) and relation_labels (B,) for the auxiliary heads.
        Linguistic inputs, 0 for none, used where config.features has them: pos_ids (B, S), role_ids (B, S, P),
        word_groups and clause_groups (B, S), the number of the word or clause that holds the position. Knowledge of
        entities, where config.knowledge_width is not 0: mentions (B, S), knowledge (B, S, K), mention_relations
        (B, W, K), answer_labels (B, W, L), as in knowledge.py.

        Returns states (B, S, D); the last slice returns (MLM logits (B, S, V), SOP logits (B, 2)), or with labels the
        sums of cross-entropies, in the order of loss_names(config); 0 where labels are not given.
        """
        if self.is_first:
            x = self.embeddings(input_ids, token_type_ids, segments, pos_ids, role_ids, mentions, knowledge)
        else:
            x = hidden[0]
        length = input_ids.shape[1]
        bias = attention_bias(
            length,
            length,
            key_mask=attention_mask,
            query_segments=segments,
            key_segments=segments,
            groups=group_ids(self.config.features, word_groups, clause_groups),
            dtype=x.dtype,
            device=x.device,
        )
        for layer in self.layers.values():
            x = layer(x, bias)
        if not self.is_last:
            return x
        x = self.final_norm(x) if hasattr(self, "final_norm") else x
        mlm = self.lm_head(self.mlm_transform(x), self.embeddings.word.weight, labels)
        if labels is None:
            return mlm, self.sop_head(self.pooler(x))
        given = {"pos": pos_labels, "ne": ne_labels, "relation": relation_labels}
        losses = {name: mlm.new_zeros(()) for name in loss_names(self.config)} | {"mlm": mlm}
        wanted = {name: tags for name in self.heads if (tags := given[name]) is not None}
        pooled = self.pooler(x) if sop_labels is not None or "relation" in wanted else None
        tagged = self.tagged(x) if wanted.keys() & {"pos", "ne"} else None
        if sop_labels is not None:
            losses["sop"] = cross_entropy_sum(self.sop_head(pooled), sop_labels)
        for name, classes in wanted.items():
            logits = self.heads[name](pooled if name == "relation" else tagged)
            losses[name] = smoothed_cross_entropy_sum(logits, classes)
        if mentions is not None and mention_relations is not None and answer_labels is not None:
            states = self.relational(x, mentions, mention_relations, answer_labels.shape[2])
            transformed = self.mlm_transform(states)
            losses["answer"] = self.lm_head(
                transformed, self.embeddings.word.weight, answer_labels.flatten(1)
            )
        return torch.stack(tuple(losses.values()))


def head_classes(config: BertConfig) -> dict[str, int]:
    """Auxiliary heads of the model and their numbers of classes."""
    return {name: classes for name, classes in config.heads.model_dump().items() if classes}


def loss_names(config: BertConfig) -> tuple[str, ...]:
    """The losses that the last slice returns, in order."""
    return ("mlm", "sop", *head_classes(config), *["answer"] * (config.knowledge_width > 0))


def smoothed_cross_entropy_sum(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of cross-entropies with label smoothing; logits (..., C), labels (...) with IGNORE; 0-dim, at least fp32."""
    wide = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    return F.cross_entropy(
        wide.flatten(0, -2),
        labels.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
        label_smoothing=SMOOTHING,
    )


class BertEmbeddings(nn.Module):
    """Word, position and segment embeddings and linguistic features; normed in post-LN models."""

    def __init__(self, config: BertConfig, *, only_words: bool) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.d_model)
        if not only_words:
            self.position = nn.Embedding(config.max_positions, config.d_model)
            self.token_type = nn.Embedding(config.token_types, config.d_model)
            if config.norm == "post":
                self.norm = LayerNorm(config.d_model, config.layer_norm_eps)
            if config.knowledge_width:
                self.knowledge = KnowledgeInjection(config.knowledge_width, config.d_model)
            self.features = LinguisticFeatures(config.features, config.d_model)
            self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor,
        segments: Tensor | None,
        pos_ids: Tensor | None,
        role_ids: Tensor | None,
        mentions: Tensor | None,
        knowledge: Tensor | None,
    ) -> Tensor:
        """(B, S), (B, S), the rest as in Bert -> (B, S, D). Positions count from the start of each run of equal
        segments.
        """
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        if segments is not None:
            starts = torch.ones_like(segments, dtype=torch.bool)
            starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
            positions = positions - (positions * starts).cummax(dim=1).values
        words = self.word(input_ids)
        if mentions is not None and knowledge is not None:
            words = self.knowledge(words, mentions, knowledge)
        x = words + self.position(positions) + self.token_type(token_type_ids)
        x = self.features(x, pos_ids, role_ids)
        return self.dropout(self.norm(x) if hasattr(self, "norm") else x)


class BertLayer(nn.Module):
    """Post-LN: x = norm(x + f(x)). Pre-LN: x = x + f(norm(x))."""

    def __init__(self, config: BertConfig, index: int) -> None:
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
        self.group_bias = group_bias(config.features, index, config.num_heads)
        self.ffn_norm = LayerNorm(config.d_model, config.layer_norm_eps)
        self.ffn = FeedForward(
            config.d_model, config.d_ff, ACTIVATIONS[config.activation], bias=True, dropout=0.0
        )
        self.dropout = config.dropout

    def forward(self, x: Tensor, bias: AttentionBias | None) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        group_scale = None if self.group_bias is None else self.group_bias()
        dropout = self.dropout if self.training else 0.0
        if self.pre:
            attended = self.attention(self.attention_norm(x), bias, group_scale=group_scale)
            x, normed = self.ffn_norm.add(x, attended, dropout)
            return x + F.dropout(self.ffn(normed), dropout)
        _, x = self.attention_norm.add(x, self.attention(x, bias, group_scale=group_scale), dropout)
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
