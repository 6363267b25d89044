"""Hugging Face folders of every usual form: import, two steps, export, transformers; or a refusal with its reason.

A handful here; with TAIXUE_TEST_FOLDERS=1 all of them, and a table of what became of each (-s shows it).
"""

import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from taixue import UserError
from taixue.base.load import load
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig, TokenizerTrainConfig
from taixue.data_tools.tokenizer.store import load_tokenizer, train
from taixue.pretrain import train as pretrain
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.export import from_hf, import_hf, to_hf
from taixue.pretrain.models import FAMILIES, build_model

from ...parity.models import skip_unless_right
from .conftest import _TEXT
from .made_folders import FOLDERS, Folder

Tokenizers = dict[str, Path]
ALL = os.environ.get("TAIXUE_TEST_FOLDERS") == "1"
HANDFUL = (
    "t5-v1.0, decoder.embed_tokens alone",
    "mt5, its vocabulary",
    "t5, gated-silu",
    "bert, one token type",
    "sentence encoder, no pooler",
    "macbert, decoder.bias alone",
    "bert, half a head",
)
NAMES = tuple(FOLDERS) if ALL else HANDFUL


@pytest.fixture(scope="module")
def several(tokenizers: Tokenizers) -> Tokenizers:
    """`tokenizers`, and one as mT5's: byte fallback, sentinels that are pieces of the model and begin with a space."""
    from sentencepiece import sentencepiece_model_pb2 as model_pb2

    folder = tokenizers["t5"].parent / "bytes"
    text = str(folder.parent / "text.txt")
    train(TokenizerTrainConfig(
        kind="t5", inputs=(text,), output=str(folder), vocab_size=550, sentinels=20, threads=1, byte_fallback=True,
    ))  # fmt: skip
    for path in folder.glob("*.json"):
        path.unlink()
    plain = Path(shutil.copytree(folder, folder.with_name("plain")))
    path = folder / "spiece.model"
    proto = model_pb2.ModelProto.FromString(path.read_bytes())
    for number in reversed(range(20)):
        proto.pieces.add(piece=f"▁<extra_id_{number}>", score=0.0, type=4)  # user defined
    path.write_bytes(proto.SerializeToString(deterministic=True))
    return tokenizers | {"bytes": folder, "plain bytes": plain}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("corpora")


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    rows: list[str] = []
    yield rows
    print("\n\n| folder | became |\n|---|---|\n" + "\n".join(rows))


@pytest.mark.parametrize("name", NAMES)
def test_each_is_trained_on_and_exported_or_refused(
    name: str,
    several: Tokenizers,
    corpora: Path,
    tmp_path: Path,
    table: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    made, theirs, ours = FOLDERS[name], tmp_path / "theirs", tmp_path / "imported"
    model = made.write(theirs, several)
    if made.refused:
        with pytest.raises(UserError) as refused:
            import_hf(theirs, ours)
        said = str(refused.value).replace(f"{theirs}/", "").replace(f"{theirs}", "")
        table.append(f"| {name} | refused: {' '.join(said.split())[:300]} |")
        assert re.search(made.refused, said), said
        assert not ours.exists()
        return
    capsys.readouterr()
    import_hf(theirs, ours)
    skip_unless_right(from_hf(theirs)[0])
    printed = capsys.readouterr().out
    assert re.search(made.says, printed), printed
    same_at_first(made, model, theirs, printed)
    transformers.AutoTokenizer.from_pretrained(ours / "tokenizer")

    run = two_steps(ours, corpus_for(ours / "tokenizer", corpora, several))
    difference = to_hf(tmp_path / "runs" / run.name, tmp_path / "out")
    found = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    loaded = getattr(transformers, found.architectures[0]).from_pretrained(tmp_path / "out")
    assert loaded.get_input_embeddings().weight.shape[0] == run.model.vocab_size
    kept = keys_kept(theirs, tmp_path / "out")
    fresh = f", started untrained: {', '.join(sorted(made.fresh))}" if made.fresh else ""
    left = f", left behind: {', '.join(made.left)}" if made.left else ""
    rebuilt = ", tokenizer.json written" if "has a tokenizer.json" in printed else ""
    table.append(
        f"| {name} | trained, exported as {found.architectures[0]}, logits differ by {difference:.0e}; {kept} keys of "
        f"config.json kept{fresh}{left}{rebuilt} |"
    )


def same_at_first(made: Folder, model: transformers.PreTrainedModel, folder: Path, printed: str) -> None:
    """What was read computes what the model computes that was written, and what it lacked is said."""
    config, state = from_hf(folder)
    said = re.search(r"not in the folder, will start untrained: (.*)", printed)
    parts = {name.split(".")[0] for name in said[1].split(", ")} if said else set()
    assert parts == set(made.fresh)
    assert all(name in printed for name in made.left)
    if not made.has_head:
        return
    ids = torch.randint(5, 140, (2, 12), generator=torch.Generator().manual_seed(1))
    batch: dict[str, Tensor] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if FAMILIES.of(config).tokenizer == "t5":
        batch["decoder_input_ids"] = ids[:, :5]
    else:
        batch["token_type_ids"] = torch.zeros_like(ids)
    ours = build_model(config)
    ours.load_state_dict(state)
    with torch.no_grad():
        found = ours.eval()(**batch | {"attention_mask": batch["attention_mask"].bool()})
        out = model.eval()(**batch)
    expected = out[0]
    torch.testing.assert_close(
        found[0] if isinstance(found, tuple) else found, expected, atol=1e-4, rtol=1e-4
    )


def keys_kept(before: Path, after: Path) -> int:
    """Keys of config.json; those that say nothing of the model may go, and those our model decides may change."""
    import json

    old, new = (json.loads((folder / "config.json").read_text()) for folder in (before, after))
    for key in (
        "initializer_factor",
        "initializer_range",
        "bos_token_id",
        "classifier_dropout",
        "directionality",
    ):
        assert new.get(key) == old.get(key, new.get(key)), key
    named = {"BertForMaskedLM", "MegatronBertForMaskedLM", "AlbertForMaskedLM"}
    if named & set(old["architectures"]):
        assert new["architectures"] == old["architectures"]
    return sum(new.get(key) == value for key, value in old.items())


def corpus_for(tokenizer: Path, corpora: Path, several: Tokenizers) -> Path:
    """A corpus of this tokenizer's; made once for each."""
    corpus = corpora / load_tokenizer(tokenizer).sha256[:16]
    if not corpus.exists():
        draw = random.Random(3)
        text = corpora / "text.txt"
        text.write_text("\n".join("".join(draw.choices(_TEXT, k=9)) for _ in range(60)), "utf-8")
        build(CorpusBuildConfig.model_validate({
            "tokenizer": str(tokenizer), "sources": [{"name": "text", "inputs": [str(text)]}], "output": str(corpus),
            "workers": 1,
        }))  # fmt: skip
    return corpus


def two_steps(imported: Path, corpus: Path) -> RunConfig:
    """Of the run that import wrote, in this process."""
    sources = f"[{{corpus: {corpus}}}]"
    options = {
        "data.sources": sources, "runs": str(imported.parent / "runs"), "steps": "2", "schedule.warmup_steps": "1",
        "batch.global_size": "2", "batch.micro_size": "2", "objective.input_length": "16", "eval_every": "0",
        "compute.device": "cpu", "compute.precision": "fp32", "dry_run": "false", "checkpoint.asynchronous": "false",
    }  # fmt: skip
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    run = load(RunConfig, imported / "run.yaml", words)
    pretrain.main(run)
    return run
