"""From a Hugging Face folder to the start of a run: a preset that names its shape, weights and tokenizer."""

from pathlib import Path

import yaml
from rich.console import Console

from taixue.base import UserError, files
from taixue.data_tools.tokenizer.store import load_tokenizer

from ..config.schema import ModelConfig
from ..models import FAMILIES
from .config import model_type
from .hf_folder import read_hf
from .proof import verify_tokenizer
from .tokenizer_files import copy_tokenizer


def import_hf(folder: Path, out: Path) -> Path:
    """Write out/model.yaml and out/tokenizer for a run that starts from `folder`, and print how to go on.

    Checks that weights fit a model of ours and that transformers and we tokenize alike. Returns the preset's path.
    The weights stay where they are. Raises UserError.
    """
    if out.exists():
        raise UserError(f"{out}: exists; choose another folder")
    config, state, fresh = read_hf(folder)
    tokenizer = load_tokenizer(folder)
    family = FAMILIES.of(config)
    if tokenizer.kind != family.tokenizer:
        raise UserError(f"{folder}: a {family.name} model with a {tokenizer.kind} tokenizer")
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} ids, the embedding only {config.vocab_size} rows"
        )
    verify_tokenizer(folder, tokenizer)
    (out / "tokenizer").mkdir(parents=True)
    copy_tokenizer(folder, out / "tokenizer")
    preset = out / "model.yaml"
    files.write(preset, _preset(folder, out, config).encode())

    console = Console(highlight=False, markup=False, soft_wrap=True)
    parameters = sum(tensor.numel() for tensor in state.values())
    console.print(
        f"{folder}: {model_type(config)}, {parameters:,} parameters, {tokenizer.vocab_size:,} token ids"
    )
    if fresh:
        console.print(f"not in the folder, will start untrained: {', '.join(fresh)}")
    console.print(
        f"Wrote {preset}. To pretrain on, build a corpus with the tokenizer {out / 'tokenizer'}, then name"
    )
    console.print(f"the preset first in your run's file (base: [{preset.resolve()}, ...]) or run\n")
    console.print(f"  taixue train {preset} --data.sources '[{{corpus: YOUR_CORPUS}}]' --steps 1000")
    return preset


def _preset(folder: Path, out: Path, config: ModelConfig) -> str:
    family = FAMILIES.of(config)
    objective: dict[str, str | int] = {"kind": family.objectives[0]}
    if longest := family.longest(config):
        objective["input_length"] = longest
    values = {
        "init_from": str(folder.resolve()),
        "model": config.model_dump(mode="json"),
        "data": {"tokenizer": str((out / "tokenizer").resolve())},
        "objective": objective,
    }
    return f"# Imported from {folder.name}\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
