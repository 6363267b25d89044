"""BERT (Devlin et al. 2019), post-LN, and Megatron-BERT (Shoeybi et al. 2019), pre-LN, with MLM and SOP heads
and the auxiliary heads of Mengzi (Zhang et al. 2021): part of speech and entity type of each token, and the relation of
a removed discourse connective (Nie et al. 2019, DisSent).

Any contiguous slice of the layers is a module of its own with the same parameter names.

Letters: B batch, S sequence length, D model width, E embedding size (D here, smaller in ALBERT), V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from taixue.kernels.attention import AttentionBias, attention_bias
from taixue.kernels.dropout.places import Dropout, again
from taixue.kernels.gated_ffn import ACTIVATIONS
from taixue.kernels.loss import IGNORE, Targets

from ..label_positions import StatesAt, labels_at
from ..layers import Attention, FeedForward, LayerNorm, LMHead, known, targets_of
from ..linguistic import LinguisticFeatures, group_bias, group_ids
from .config import BertConfig
from .heads import SENTENCE_ORDER, auxiliary, losses
from .inputs import INPUTS, LABELS
from .knowledge import KnowledgeInjection, RelationalDecoder


class Bert(nn.Module):
    """The layers of `config` in the range `layers` (default: all of them)."""

    def __init__(
        self, config: BertConfig, layers: range | None = None, embedding_size: int | None = None
    ) -> None:
        """embedding_size: of embeddings, and of the states that meet them in the LM head; None: D."""
        super().__init__()
        layers = range(config.num_layers) if layers is None else layers
        size = config.d_model if embedding_size is None else embedding_size
        self.config = config
        self._places = {i: self.place(i) for i in layers}
        self._classifiers = (SENTENCE_ORDER, *(head for head, _ in auxiliary(config.heads)))
        self.is_first, self.is_last = layers.start == 0, layers.stop == config.num_layers
        if self.is_first or self.is_last:  # the last slice needs the word embeddings for its tied MLM head
            self.embeddings = BertEmbeddings(config, size, only_words=not self.is_first)
        self.layers = nn.ModuleDict(
            {str(i): BertLayer(config, i) for i in dict.fromkeys(self._places.values())}
        )
        if self.is_last:
            if config.norm == "pre":
                self.final_norm = LayerNorm(config.d_model, config.layer_norm_eps)
            self.predicted = StatesAt()
            self.mlm_transform = MlmTransform(config, size)
            self.lm_head = LMHead(size, config.vocab_size, tied=True, bias=True)
            self.pooler = Pooler(config)
            self.sop_head = nn.Linear(config.d_model, 2)
            if config.knowledge_width:
                self.relational = RelationalDecoder(
                    config.knowledge_width, config.d_model, config.layer_norm_eps
                )
            self.tagged = nn.Identity()  # the states that taggers see: one place for all
            self.heads = nn.ModuleDict(
                {head.name: nn.Linear(config.d_model, classes) for head, classes in auxiliary(config.heads)}
            )

    def forward(self, *hidden: Tensor, **batch: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Run the slice.

        hidden: the states (B, S, D) of the slice before, nothing for the first slice. batch: see inputs.py. Returns
        states (B, S, D); the last slice returns (MLM logits (B, S, V), SOP logits (B, 2)), or with labels the sums of
        cross-entropies, in the order of heads.losses; 0 where labels are not given. TypeError for a key that
        is not in inputs.py.
        """
        known(batch, INPUTS, LABELS)
        x = self.embed(batch) if self.is_first else hidden[0]
        length, segments = batch["input_ids"].shape[1], batch.get("segments")
        bias = attention_bias(
            length,
            length,
            key_mask=batch.get("attention_mask"),
            query_segments=segments,
            key_segments=segments,
            groups=group_ids(self.config.features, batch.get("word_groups"), batch.get("clause_groups")),
            dtype=x.dtype,
            device=x.device,
        )
        samples = batch.get("samples")
        for layer, place in self._places.items():
            x = self.layers[str(place)](x, bias, again(samples, layer - place))
        if not self.is_last:
            return x
        x = self.final_norm(x) if hasattr(self, "final_norm") else x
        targets = targets_of(batch)
        if targets is None:
            return self._lm(self.predicted(x, None), None), self.sop_head(self.pooler(x))
        return self.losses(x, targets, batch)

    def place(self, layer: int) -> int:
        """Number of the parameters that layer number `layer` applies."""
        return layer

    def embed(self, batch: Mapping[str, Tensor]) -> Tensor:
        """A batch -> the states (B, S, D) that the first layer reads."""
        return self.embeddings(batch)

    def losses(self, x: Tensor, targets: Targets, batch: Mapping[str, Tensor]) -> Tensor:
        """Final states (B, S, D), what is to be predicted of tokens, and the labels of the other heads -> sums of
        cross-entropies (n_losses,), in the order of heads.losses, and of the teacher's if there is one."""
        # A teacher speaks of positions without a label, too.
        positions = batch.get("label_positions") if targets.teacher is None else None
        asked = targets if positions is None else labels_at(batch["labels"], positions)
        mlm, taught = self._lm(self.predicted(x, positions), asked)
        found = dict.fromkeys(losses(self.config.heads, self.config.knowledge_width > 0), mlm.new_zeros(()))
        found["mlm"] = mlm
        heads = [head for head in self._classifiers if head.labels in batch]
        # Shared by the heads: each of these is one exchange between tensor-parallel ranks.
        pooled = self.pooler(x) if any(head.reads == "pooled" for head in heads) else None
        tagged = self.tagged(x) if any(head.reads == "tokens" for head in heads) else None
        for head in heads:
            logits = self.get_submodule(head.module)(pooled if head.reads == "pooled" else tagged)
            found[head.name] = class_cross_entropy_sum(logits, batch[head.labels], head.smoothing)
        if {"mentions", "mention_relations", "answer_labels"} <= batch.keys():
            answers = batch["answer_labels"]
            states = self.relational(x, batch["mentions"], batch["mention_relations"], answers.shape[2])
            found["answer"], _ = self._lm(states, Targets(answers.flatten(1)))
        if targets.teacher is not None:
            found["teacher"] = taught
        return torch.stack(tuple(found.values()))

    def _lm(self, x: Tensor, targets: Targets | None) -> Any:
        """The masked-language-model head; see LMHead."""
        return self.lm_head(self.mlm_transform(x), self.embeddings.word.weight, targets)


def class_cross_entropy_sum(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Sum of cross-entropies with label smoothing; logits (..., C), labels (...) with IGNORE; 0-dim, at least fp32."""
    wide = logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits
    return F.cross_entropy(
        wide.flatten(0, -2),
        labels.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
        label_smoothing=smoothing,
    )


class BertEmbeddings(nn.Module):
    """Word, position and segment embeddings (size E) and linguistic features; normed in post-LN models."""

    def __init__(self, config: BertConfig, size: int, *, only_words: bool) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, size)
        if not only_words:
            self.position = nn.Embedding(config.max_positions, size)
            self.token_type = nn.Embedding(config.token_types, size)
            if config.norm == "post":
                self.norm = LayerNorm(size, config.layer_norm_eps)
            if config.knowledge_width:
                self.knowledge = KnowledgeInjection(config.knowledge_width, size)
            self.features = LinguisticFeatures(config.features, size)
            self.dropout = Dropout(config.dropout)

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """A batch, see inputs.py -> (B, S, E). Positions count from the start of each run of equal segments."""
        input_ids, segments = batch["input_ids"], batch.get("segments")
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        if segments is not None:
            starts = torch.ones_like(segments, dtype=torch.bool)
            starts[:, 1:] = segments[:, 1:] != segments[:, :-1]
            positions = positions - (positions * starts).cummax(dim=1).values
        words = self.word(input_ids)
        if "mentions" in batch and "knowledge" in batch:
            words = self.knowledge(words, batch["mentions"], batch["knowledge"])
        x = words + self.position(positions) + self.token_type(batch["token_type_ids"])
        x = self.features(x, batch.get("pos_ids"), batch.get("role_ids"))
        return self.dropout(self.norm(x) if hasattr(self, "norm") else x, batch.get("samples"))


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
        self.attention_dropout, self.ffn_dropout = Dropout(config.dropout), Dropout(config.dropout)

    def forward(self, x: Tensor, bias: AttentionBias | None, samples: Tensor | None = None) -> Tensor:
        """(B, S, D) -> (B, S, D)."""
        scale = None if self.group_bias is None else self.group_bias()
        if self.pre:
            attended = self.attention(self.attention_norm(x), bias, group_scale=scale, samples=samples)
            x, normed = self.ffn_norm.add(x, attended, self.attention_dropout, samples)
            return x + self.ffn_dropout(self.ffn(normed, samples), samples)
        attended = self.attention(x, bias, group_scale=scale, samples=samples)
        _, x = self.attention_norm.add(x, attended, self.attention_dropout, samples)
        return self.ffn_norm.add(x, self.ffn(x, samples), self.ffn_dropout, samples)[1]


class MlmTransform(nn.Module):
    """norm(activation(dense(x))) before the vocabulary projection. (B, S, D) -> (B, S, E)."""

    def __init__(self, config: BertConfig, size: int) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.dense = nn.Linear(config.d_model, size)
        self.norm = LayerNorm(size, config.layer_norm_eps)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.activation(self.dense(x)))


class Pooler(nn.Linear):
    """tanh(dense(state of [CLS])). (B, S, D) -> (B, D)."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config.d_model, config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, 0]).tanh()
