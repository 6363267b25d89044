"""One table of parameter names per model, read in both directions: ours <-> Hugging Face's.

{i} stands for a layer number, {x} for one word that both names share. Tables are complete: a parameter that no
row names cannot be exported, a tensor that no row names cannot be imported.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from taixue import UserError
from taixue.base.section import PretrainingOnly, marked

from ..config.schema import BertConfig, T5Config
from ..models import build_model
from ..models.init import init_weight

_T5 = {
    "shared.weight": "shared.weight",
    "lm_head.weight": "lm_head.weight",
    "encoder.relative_bias.weight": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder.layers.{i}.self_attention_norm.weight": "encoder.block.{i}.layer.0.layer_norm.weight",
    "encoder.layers.{i}.self_attention.{x}.weight": "encoder.block.{i}.layer.0.SelfAttention.{x}.weight",
    "encoder.layers.{i}.ffn_norm.weight": "encoder.block.{i}.layer.1.layer_norm.weight",
    "encoder.layers.{i}.ffn.{x}.weight": "encoder.block.{i}.layer.1.DenseReluDense.{x}.weight",
    "encoder.final_norm.weight": "encoder.final_layer_norm.weight",
    "decoder.relative_bias.weight": "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "decoder.layers.{i}.self_attention_norm.weight": "decoder.block.{i}.layer.0.layer_norm.weight",
    "decoder.layers.{i}.self_attention.{x}.weight": "decoder.block.{i}.layer.0.SelfAttention.{x}.weight",
    "decoder.layers.{i}.cross_attention_norm.weight": "decoder.block.{i}.layer.1.layer_norm.weight",
    "decoder.layers.{i}.cross_attention.{x}.weight": "decoder.block.{i}.layer.1.EncDecAttention.{x}.weight",
    "decoder.layers.{i}.ffn_norm.weight": "decoder.block.{i}.layer.2.layer_norm.weight",
    "decoder.layers.{i}.ffn.{x}.weight": "decoder.block.{i}.layer.2.DenseReluDense.{x}.weight",
    "decoder.final_norm.weight": "decoder.final_layer_norm.weight",
}

_BERT_SHARED = {
    "embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
    "embeddings.position.weight": "bert.embeddings.position_embeddings.weight",
    "embeddings.token_type.weight": "bert.embeddings.token_type_embeddings.weight",
    "layers.{i}.attention.q.{x}": "bert.encoder.layer.{i}.attention.self.query.{x}",
    "layers.{i}.attention.k.{x}": "bert.encoder.layer.{i}.attention.self.key.{x}",
    "layers.{i}.attention.v.{x}": "bert.encoder.layer.{i}.attention.self.value.{x}",
    "layers.{i}.attention.o.{x}": "bert.encoder.layer.{i}.attention.output.dense.{x}",
    "layers.{i}.ffn.wi.{x}": "bert.encoder.layer.{i}.intermediate.dense.{x}",
    "layers.{i}.ffn.wo.{x}": "bert.encoder.layer.{i}.output.dense.{x}",
    "mlm_transform.dense.{x}": "cls.predictions.transform.dense.{x}",
    "mlm_transform.norm.{x}": "cls.predictions.transform.LayerNorm.{x}",
    "lm_head.bias": "cls.predictions.bias",
    "pooler.{x}": "bert.pooler.dense.{x}",
    "sop_head.{x}": "cls.seq_relationship.{x}",
}

_BERT = {
    **_BERT_SHARED,
    "embeddings.norm.{x}": "bert.embeddings.LayerNorm.{x}",
    "layers.{i}.attention_norm.{x}": "bert.encoder.layer.{i}.attention.output.LayerNorm.{x}",
    "layers.{i}.ffn_norm.{x}": "bert.encoder.layer.{i}.output.LayerNorm.{x}",
}

_MEGATRON_BERT = {
    **_BERT_SHARED,
    "layers.{i}.attention_norm.{x}": "bert.encoder.layer.{i}.attention.ln.{x}",
    "layers.{i}.ffn_norm.{x}": "bert.encoder.layer.{i}.ln.{x}",
    "final_norm.{x}": "bert.encoder.ln.{x}",
}


@dataclass(frozen=True)
class NameMap:
    """A table in both directions, and what HF files of this model may hold besides or lack."""

    rows: Mapping[str, str]
    copies: Mapping[str, str] = field(default_factory=dict)
    """HF names that may repeat another HF tensor (tied weights): copy -> original."""
    unused: frozenset[str] = frozenset()
    """HF names that old files hold and no computation uses."""
    may_lack: tuple[str, ...] = ()
    """Prefixes of our names that an HF file may lack; they then start as in a new run."""

    def to_hf(self, name: str) -> str:
        """HF's name of our parameter `name`."""
        translated = _translate(name, self._forward)
        assert translated is not None, f"no row of the table names {name}"
        return translated

    def from_hf(self, name: str) -> str | None:
        """Our name of HF's parameter `name`; None when the table has no row for it."""
        return _translate(name, self._backward)

    @cached_property
    def _forward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(ours), hf) for ours, hf in self.rows.items()]

    @cached_property
    def _backward(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(hf), ours) for ours, hf in self.rows.items()]


def _pattern(row: str) -> re.Pattern[str]:
    escaped = re.escape(row).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\{x\}", r"(?P<x>\w+)")
    return re.compile(escaped)


def _translate(name: str, rows: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, target in rows:
        if match := pattern.fullmatch(name):
            return target.format(**match.groupdict())
    return None


def _bert_map(rows: Mapping[str, str]) -> NameMap:
    return NameMap(
        rows,
        copies={
            "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
            "cls.predictions.decoder.bias": "cls.predictions.bias",
        },
        unused=frozenset({"bert.embeddings.position_ids"}),
        may_lack=("pooler.", "sop_head."),  # folders of BertForMaskedLM
    )


_EXTRAS = frozenset(
    part
    for config in (T5Config, BertConfig)
    for mark in marked(config, PretrainingOnly).values()
    for part in mark.parts
)
"""Components of the names of parameters that serve pretraining only."""

T5_MAP = NameMap(
    _T5,
    copies={
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    },
    # the published t5-* files hold a bias table of cross-attention that T5 never had
    unused=frozenset({"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"}),
)
BERT_MAP = _bert_map(_BERT)
MEGATRON_BERT_MAP = _bert_map(_MEGATRON_BERT)


def name_map(config: T5Config | BertConfig) -> NameMap:
    """The table of the model that `config` describes."""
    if isinstance(config, T5Config):
        return T5_MAP
    return BERT_MAP if config.norm == "post" else MEGATRON_BERT_MAP


def parameter_shapes(config: T5Config | BertConfig) -> dict[str, tuple[int, ...]]:
    """Every parameter of the whole model by our name, without allocating it."""
    with torch.device("meta"):
        return {name: tuple(value.shape) for name, value in build_model(config).named_parameters()}


def is_extra(name: str) -> bool:
    """Whether our parameter `name` serves pretraining only and is in no Hugging Face model."""
    return not _EXTRAS.isdisjoint(name.split("."))


def state_to_hf(config: T5Config | BertConfig, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a complete state and leave out the extras; tensors are not copied. UserError where it does not fit."""
    names = name_map(config)
    misfits = _misfits(parameter_shapes(config), state)
    _refuse("checkpoint", [f"{name}: {what}" for name, what in misfits])
    return {names.to_hf(name): tensor for name, tensor in state.items() if not is_extra(name)}


def state_from_hf(
    config: T5Config | BertConfig, tensors: Mapping[str, Tensor], where: str
) -> tuple[dict[str, Tensor], list[str]]:
    """HF tensors by our names, fp32, and the names that `tensors` lacked and that start as in a new run.

    Raises UserError listing every tensor that is missing, unknown, of another shape, or that should repeat
    another and does not.
    """
    names, shapes = name_map(config), parameter_shapes(config)
    renamed: dict[str, Tensor] = {}
    problems = []
    for hf_name, tensor in tensors.items():
        modern = hf_name.replace("LayerNorm.gamma", "LayerNorm.weight").replace(
            "LayerNorm.beta", "LayerNorm.bias"
        )
        ours = names.from_hf(modern)
        if ours in shapes:
            renamed[ours] = tensor.float()
        elif modern in names.copies:
            original = tensors.get(names.copies[modern])
            if original is None or not torch.equal(tensor, original):
                problems.append(
                    f"{hf_name}: differs from {names.copies[modern]}; taixue's model has one for both"
                )
        elif modern not in names.unused:
            problems.append(f"{hf_name}: unknown")
    fresh = sorted(name for name in shapes.keys() - renamed.keys() if name.startswith(names.may_lack))
    renamed |= {name: init_weight(name, shapes[name], config, seed=0) for name in fresh}
    problems += [f"{names.to_hf(name)}: {what}" for name, what in _misfits(shapes, renamed)]
    _refuse(where, problems)
    return {name: renamed[name] for name in shapes}, fresh


def _misfits(shapes: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> Iterator[tuple[str, str]]:
    """(our name, what is wrong with it) for every difference between `shapes` and `state`."""
    for name in shapes.keys() | state.keys():
        if name not in state:
            yield name, "missing"
        elif name not in shapes:
            yield name, "unknown"
        elif tuple(state[name].shape) != shapes[name]:
            yield name, f"shape {tuple(state[name].shape)}, the config says {shapes[name]}"


def _refuse(where: str, problems: list[str]) -> None:
    if problems:
        shown = "\n  ".join(sorted(problems)[:20])
        more = f"\n  and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise UserError(f"{where}: tensors that do not fit the model ({len(problems)}):\n  {shown}{more}")
