"""From a Hugging Face folder to the start of a run: a preset of its shape, weights and tokenizer, and a run on it."""

import shutil
from pathlib import Path
from shlex import quote
from typing import Any

import yaml
from rich.console import Console
from torch import Tensor

from taixue.base import UserError, files
from taixue.data_tools.tokenizer.store import Tokenizer, load_tokenizer

from ..config.schema import ModelConfig, RunConfig
from ..models import FAMILIES
from . import tokenizer_files
from .config import carried, config_to_hf, model_type
from .hf_folder import read_hf, read_json
from .mapping import Weights

_STEPS, _WARMUP = 1000, 100


def import_hf(folder: Path, out: Path) -> Path:
    """Write out/model.yaml, out/run.yaml and out/tokenizer for a run that starts from `folder`; print how to go on.

    Checks that weights fit a model of ours and that transformers and we tokenize alike. Returns the preset's path.
    The weights stay where they are. Raises UserError; then there is no `out`.
    """
    if out.exists():
        raise UserError(f"{out}: exists; choose another folder")
    config, weights = read_hf(folder)
    tokenizer = load_tokenizer(folder)
    family = FAMILIES.of(config)
    if tokenizer.kind != family.tokenizer:
        raise UserError(f"{folder}: a {family.name} model with a {tokenizer.kind} tokenizer")
    if tokenizer.vocab_size > config.vocab_size:
        raise UserError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} ids, the embedding only {config.vocab_size} rows: "
            "the tokenizer files are another model's; take those published with these weights"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = files.temporary_name(out)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        (temporary / "tokenizer").mkdir(parents=True)
        tokenizer_files.copy_tokenizer(folder, temporary / "tokenizer")
        tokenizer_files.complete(folder, temporary / "tokenizer", tokenizer.kind, family.longest(config))
        rebuilt = tokenizer_files.agree(folder, temporary / "tokenizer", tokenizer)
        files.write(temporary / "model.yaml", _preset(folder, out, config).encode())
        files.write(temporary / "run.yaml", _run(folder, out, config).encode())
        files.publish(temporary, out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    _report(folder, out, config, weights, tokenizer, rebuilt)
    return out / "model.yaml"


def _report(
    folder: Path, out: Path, config: ModelConfig, weights: Weights, tokenizer: Tokenizer, rebuilt: str
) -> None:
    """What was found, what differs, and two commands that run as they are printed."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"{folder}: {model_type(config)}, {_count(weights.state):,} parameters, {tokenizer.vocab_size:,} token ids"
    )
    if weights.fresh:
        console.print(f"not in the folder, will start untrained: {', '.join(weights.fresh)}")
    if weights.left:
        console.print(f"left behind, of a task: {', '.join(weights.left)}")
    for name, before, now in _changed(read_json(folder / "config.json"), config, tokenizer):
        console.print(f"config.json: {name} is {before!r} there and will be {now!r} in exports")
    if rebuilt:
        console.print(
            f"{rebuilt}\n{out / 'tokenizer'}: has a tokenizer.json that is read as taixue reads spiece.model"
        )
    preset = FAMILIES.of(config).tokenizer
    console.print(f"Wrote {out}. To pretrain on with your text (a folder of .txt or .jsonl files):\n")
    console.print(
        f"  taixue corpus build corpus/zh-{preset} --sources.0.inputs YOUR_TEXT "
        f"--tokenizer {quote(str(out / 'tokenizer'))} --output {quote(str(out / 'corpus'))}"
    )
    console.print(f"  taixue train {quote(str(out / 'run.yaml'))}\n")
    console.print(f"In a run's file of your own, name the preset last: base: [..., {out / 'model.yaml'}]")


def _count(state: dict[str, Tensor]) -> int:
    return sum(tensor.numel() for tensor in state.values())


def _changed(raw: dict[str, Any], config: ModelConfig, tokenizer: Tokenizer) -> list[tuple[str, Any, Any]]:
    """Keys of config.json that an export will say otherwise: what our model has one number or one way for."""
    ids = {"pad_id": tokenizer.pad_id, "eos_id": tokenizer.eos_id}
    said = carried(raw)
    written = config_to_hf(config, **ids, dtype="float32", said=said)
    return [(name, value, written[name]) for name, value in said.items() if written.get(name, value) != value]


def _preset(folder: Path, out: Path, config: ModelConfig) -> str:
    family = FAMILIES.of(config)
    objective: dict[str, str | int | bool] = {}
    if family.objectives[0] != RunConfig().objective.kind:
        objective["kind"] = family.objectives[0]
    if (
        longest := family.longest(config) or RunConfig().objective.input_length
    ) < RunConfig().objective.input_length:
        objective["input_length"] = longest
    if getattr(config, "token_types", 2) < 2:
        objective["sentence_order"] = False
    values = {
        "init_from": str(folder.resolve()),
        "model": config.model_dump(mode="json"),
        "data": {"tokenizer": str((out / "tokenizer").resolve())},
        **({"objective": objective} if objective else {}),
        "optimizer": dict(family.continuing.optimizer),
    }
    return _yaml(f"{folder.name!r}, to start from", values)


def _run(folder: Path, out: Path, config: ModelConfig) -> str:
    values = {
        "base": "model.yaml",
        "name": f"{folder.resolve().name}-continued",
        "steps": _STEPS,
        "data": {"sources": [{"corpus": str((out / "corpus").resolve())}]},
        "schedule": {"name": FAMILIES.of(config).continuing.schedule, "warmup_steps": _WARMUP},
    }
    return _yaml(f"Pretrain {folder.name!r} on", values)


def _yaml(comment: str, values: dict[str, Any]) -> str:
    return f"# {comment}\n" + yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
