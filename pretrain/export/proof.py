"""Proof that a folder is what it claims: stock transformers loads it and computes what our model computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from packaging.version import Version
from torch import Tensor

from taixue.base import UserError
from taixue.data_tools.tokenizer.store import Tokenizer

from ..config.schema import ModelConfig
from ..models import FAMILIES, build_model

SAMPLE = (
    "太学设于京师,是古代中国的最高学府。",
    "今天天气很好,我们一起去公园散步,看见许多孩子在草地上放风筝。",
    "Pretraining 从 2018 年起改变了自然语言处理。",
)
LONGEST, TARGET = 512, 10
"""Tokens of a row, where the model itself has no limit; of what a decoder is given."""
_MOST_PIECES = 12


class ReadOtherwise(UserError):
    """transformers does not make of a tokenizer's files what taixue makes of them."""


ABSOLUTE_LIMIT, RELATIVE_LIMIT = 1e-4, 1e-5
"""fp32 logits may differ by the first, or by the second times the largest logit where logits are large."""


def check_transformers(config: ModelConfig) -> None:
    """UserError when the installed transformers is known to compute this model wrongly."""
    form = FAMILIES.of(config).hf
    found = version("transformers")
    if Version(found) < Version(form.right_since):
        raise UserError(
            f"transformers {found} computes {form.model_type(config)} not as its format says: nothing can be "
            f"proven with it; install transformers>={form.right_since}"
        )


def verify_folder(folder: Path, config: ModelConfig, state: dict[str, Tensor], tokenizer: Tokenizer) -> float:
    """Load `folder` with transformers; return the largest difference of fp32 logits on tokenized, padded text.

    state: our weights as they were written. Raises UserError when the tokenizers differ, RuntimeError when logits
    differ, or when transformers misses a tensor or knows none of that name.
    """
    rows = verify_tokenizer(folder, tokenizer)
    with _quiet_transformers():
        batch = _batch(tokenizer, rows, config)
        reference = _our_logits(config, state, batch)
        found = _their_logits(folder, config, batch)
    worst = 0.0
    for a, b in zip(reference, found, strict=True):
        difference, size = (a - b).abs().max().item(), a.abs().max().item()
        if not difference <= max(ABSOLUTE_LIMIT, RELATIVE_LIMIT * size):
            raise RuntimeError(
                f"{folder}: logits of transformers differ from ours by {difference:.2e} (largest logit {size:.2e}, "
                f"limit {max(ABSOLUTE_LIMIT, RELATIVE_LIMIT * size):.0e})"
            )
        worst = max(worst, difference)
    return worst


def verify_tokenizer(folder: Path, ours: Tokenizer) -> list[list[int]]:
    """Ids of SAMPLE with special tokens, on which ours and transformers' tokenizer of `folder` agree.

    Raises UserError when they do not.
    """
    theirs = _their_tokenizer(folder)
    if ours.kind == "t5":
        around: tuple[list[int], list[int]] = ([], [ours.eos_id])
        special = {"pad": ours.pad_id, "eos": ours.eos_id, "unk": ours.unk_id}
    else:
        around = ([ours.cls_id], [ours.sep_id])
        special = {"pad": ours.pad_id, "unk": ours.unk_id, "mask": ours.mask_id}
    for name, value in special.items():
        if (found := getattr(theirs, f"{name}_token_id")) != value:
            raise ReadOtherwise(
                f"{folder}: the {name} token is id {found} in transformers, {value} in taixue"
            )
    rows = []
    for text, ids in zip(SAMPLE, ours.encode(list(SAMPLE)), strict=True):
        row = [*around[0], *ids.tolist(), *around[1]]
        with _quiet_transformers():  # longer than some models can read
            found = theirs(text).input_ids
        if found != row:
            raise ReadOtherwise(f"{folder}: {_where_they_part(text, theirs, found, ours, row)}")
        rows.append(row)
    if ours.kind == "t5":
        _compare_sentinels(folder, theirs, ours)
    return rows


def _compare_sentinels(folder: Path, theirs: Any, ours: Tokenizer) -> None:
    if not ours.sentinel_ids:
        raise UserError(
            f'{folder}: its tokenizer has no <extra_id_0>, which stands for what is masked; write "extra_ids": 100 '
            "into tokenizer_config.json if the embedding has rows for as many more"
        )
    found = theirs.convert_tokens_to_ids("<extra_id_0>")
    if found != ours.sentinel_ids[0]:
        raise ReadOtherwise(
            f"{folder}: <extra_id_0> is id {found} in transformers, {ours.sentinel_ids[0]} in taixue"
        )


def _their_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        with _quiet_transformers():
            return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of any kind, by what is wrong
        said = str(error).strip().partition("\n")[0]
        raise ReadOtherwise(
            f"{folder}: transformers cannot load its tokenizer ({type(error).__name__}: {said}); mend "
            "tokenizer_config.json, or take the tokenizer files of the model's first publication"
        ) from None


def _where_they_part(text: str, theirs: Any, found: list[int], ours: Tokenizer, row: list[int]) -> str:
    """The pieces of both, from the first that differs to where they are one again."""
    pieces = theirs.convert_ids_to_tokens(found), ours.pieces(row)
    first = next(n for n, (a, b) in enumerate(zip_longest(found, row)) if a != b)
    same = 0
    while same < min(len(found), len(row)) - first and found[-1 - same] == row[-1 - same]:
        same += 1
    shown = [" ".join(part[first : len(part) - same][:_MOST_PIECES]) for part in pieces]
    return (
        f"transformers tokenizes {text!r} otherwise than taixue: {shown[0] or 'nothing'} (ids "
        f"{found[first : len(found) - same][:_MOST_PIECES]}) where taixue has {shown[1] or 'nothing'} (ids "
        f"{row[first : len(row) - same][:_MOST_PIECES]})"
    )


def _batch(tokenizer: Tokenizer, rows: list[list[int]], config: ModelConfig) -> dict[str, Tensor]:
    """Arguments that our models and transformers' share: the rows, padded on the right, and what else the family's
    made-up batch of that shape has for both."""
    family = FAMILIES.of(config)
    rows = [row[: family.longest(config) or LONGEST] for row in rows]
    length = max(map(len, rows))
    made = family.probe(config, len(rows), 0, (length, TARGET))
    ids = torch.tensor([row + [tokenizer.pad_id] * (length - len(row)) for row in rows])
    mask = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    return {"input_ids": ids, "attention_mask": mask, **{name: made[name] for name in family.hf.inputs}}


@torch.no_grad()
def _our_logits(
    config: ModelConfig, state: dict[str, Tensor], batch: dict[str, Tensor]
) -> tuple[Tensor, ...]:
    with torch.device("meta"):
        model = build_model(config)
    model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    logits = model.eval()(**batch)
    return logits if isinstance(logits, tuple) else (logits,)


@torch.no_grad()
def _their_logits(folder: Path, config: ModelConfig, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
    import transformers

    form = FAMILIES.of(config).hf
    model, info = getattr(transformers, form.auto_class).from_pretrained(
        folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
    )
    wrong = {kind: names for kind, names in info.items() if names}
    if wrong:
        raise RuntimeError(f"{folder}: transformers does not find its tensors: {wrong}")
    out = model.eval()(**batch | {"attention_mask": batch["attention_mask"].long()})
    return tuple(getattr(out, name) for name in form.outputs)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No progress bars, and no warning that T5 v1.1's two matrices are not tied: they should not be."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
