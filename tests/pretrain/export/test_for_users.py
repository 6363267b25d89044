"""What one does with an exported or imported folder: read it, cut long texts, start from it, read its card."""

import json
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from taixue import UserError
from taixue.base.load import load
from taixue.data_tools.tokenizer.store import load_tokenizer
from taixue.launch import cli
from taixue.pretrain.config.schema import RunConfig
from taixue.pretrain.config.validate import validate
from taixue.pretrain.export import import_hf, to_hf
from taixue.pretrain.export.config import carried, config_to_hf
from taixue.pretrain.export.hf_folder import read_hf
from taixue.pretrain.run.history import HISTORY_FILE, Code, Origin, Start, append

from .conftest import ALBERT, BERT, OBJECTIVE, T5_V1_0, T5_V1_1, run_config, save_run
from .test_folder import change_config, write_hf

Tokenizers = dict[str, Path]
LONG = "太学设于京师,是古代中国的最高学府。" * 100


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def start(run: RunConfig, origin: Origin, changes: dict[str, Any] | None = None) -> Start:
    return Start(
        origin=origin, config=run.model_dump(mode="json"), changes=changes or {}, ranks=1, layout={"tp": 1},
        fingerprint="f", tokenizer="t", objective=OBJECTIVE, code=Code(), software={"torch": "2"},
    )  # fmt: skip


def record(folder: Path, *starts: Start) -> None:
    for one in starts:
        append(folder / HISTORY_FILE, one.model_dump_json(exclude={"end"}).encode())


@pytest.mark.usefixtures("open_umask")
def test_all_files_are_as_the_umask_says(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """safetensors' own writer makes files that only their owner reads."""
    run = save_run(tmp_path / "run", run_config(T5_V1_1, tokenizers["t5"]))
    to_hf(run, tmp_path / "hf", shard_bytes=60_000)
    import_hf(tmp_path / "hf", tmp_path / "imported")
    found = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert len(found) > 20
    assert set(found.values()) == {0o644}, found


@pytest.mark.parametrize("config", [BERT, ALBERT], ids=["bert", "albert"])
def test_an_exported_tokenizer_cuts_at_the_positions(
    config: Any, tmp_path: Path, tokenizers: Tokenizers
) -> None:
    to_hf(save_run(tmp_path / "run", run_config(config, tokenizers["bert"])), tmp_path / "hf")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.model_max_length == config.max_positions
    assert len(tokenizer(LONG, truncation=True).input_ids) == config.max_positions


@pytest.mark.parametrize("config", [BERT, ALBERT, T5_V1_1], ids=["bert", "albert", "t5"])
def test_an_imported_vocabulary_alone_loads(config: Any, tmp_path: Path, tokenizers: Tokenizers) -> None:
    """Of vocab.txt or spiece.model, without config.json, AutoTokenizer would not know what to make."""
    kind, name = ("t5", "spiece.model") if config is T5_V1_1 else ("bert", "vocab.txt")
    folder = write_hf(tmp_path / "hf", config)
    (folder / name).write_bytes((tokenizers[kind] / name).read_bytes())
    import_hf(folder, tmp_path / "imported")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "imported/tokenizer")
    ours = load_tokenizer(tmp_path / "imported/tokenizer")
    text = "今天天气很好"
    assert theirs(text, add_special_tokens=False).input_ids == ours.encode([text])[0].tolist()


def test_lengths_of_old_settings(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """transformers 4 wrote int(1e30) where a tokenizer had no limit."""
    for config, kind, name in ((T5_V1_1, "t5", "spiece.model"), (BERT, "bert", "vocab.txt")):
        folder = write_hf(tmp_path / kind, config)
        (folder / name).write_bytes((tokenizers[kind] / name).read_bytes())
        (folder / "tokenizer_config.json").write_text(f'{{"model_max_length": {int(1e30)}}}')
        import_hf(folder, tmp_path / f"imported-{kind}")
        found = AutoTokenizer.from_pretrained(tmp_path / f"imported-{kind}/tokenizer").model_max_length
        assert found == (int(1e30) if kind == "t5" else BERT.max_positions)


def test_blank_last_lines_of_a_vocabulary_are_no_tokens(tmp_path: Path, tokenizers: Tokenizers) -> None:
    text = (tokenizers["bert"] / "vocab.txt").read_text()
    for end in ("", "\n", "\n\n", "\r\n"):
        (tmp_path / "vocab.txt").write_text(text.removesuffix("\n") + end, newline="")
        assert load_tokenizer(tmp_path).vocab_size == 200
        assert load_tokenizer(tmp_path).sha256 == load_tokenizer(tokenizers["bert"]).sha256


def test_two_tokenizers_in_a_folder_are_named_by_their_pieces(tmp_path: Path, tokenizers: Tokenizers) -> None:
    folder = write_hf(tmp_path / "hf", T5_V1_1, tokenizers["t5"])
    content = json.loads((folder / "tokenizer.json").read_text())
    content["normalizer"] = {"type": "Replace", "pattern": {"String": "太学"}, "content": "天"}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"(?s)hf: .*'太学.*: 天 .*taixue has ▁太学.*remove from a copy"):
        import_hf(folder, tmp_path / "imported")
    assert not (tmp_path / "imported").exists()


def test_what_config_json_said_goes_on(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """Through the history: folder, run, folder."""
    said = {
        "initializer_factor": 0.5,
        "bos_token_id": 7,
        "n_positions": 512,
        "auto_map": {"AutoModel": "x.py"},
    }
    run = run_config(T5_V1_0, tokenizers["t5"])
    folder = save_run(tmp_path / "run", run)
    kept = carried(said)
    record(folder, start(run, Origin(kind="folder", path="/models/old", digest="d", config=kept)))
    to_hf(folder, tmp_path / "hf")
    found = json.loads((tmp_path / "hf/config.json").read_text())
    assert {key: found.get(key) for key in said} == said | {"auto_map": None}
    assert "| started from | old, digest `d` |" in (tmp_path / "hf/README.md").read_text()


def test_a_masked_lm_stays_one(tmp_path: Path) -> None:
    ids = {"pad_id": 0, "eos_id": 3, "dtype": "float32"}
    named = config_to_hf(BERT, **ids, said={"architectures": ["BertForMaskedLM"]})["architectures"]
    assert named == ["BertForMaskedLM"]
    for other in (["BertModel"], ["BertForMaskedLM", "BertModel"], "BertForMaskedLM", None):
        assert config_to_hf(BERT, **ids, said={"architectures": other})["architectures"] == [
            "BertForPreTraining"
        ]
    assert config_to_hf(ALBERT, **ids)["classifier_dropout_prob"] == 0.1
    assert (
        config_to_hf(ALBERT, **ids, said={"classifier_dropout_prob": 0.2})["classifier_dropout_prob"] == 0.2
    )
    assert carried({"x": "y" * 50_000}) == {}


def test_the_card_tells_the_way_not_the_last_configuration(tmp_path: Path, tokenizers: Tokenizers) -> None:
    """A changed init_from was not read; another rate, schedule or decay is told with the step it came at."""
    first = run_config(T5_V1_1, tokenizers["t5"])
    changes = {
        "init_from": ("", "never-read"),
        "optimizer.lr": (0.02, 0.01),
        "optimizer.weight_decay": (0.0, 0.1),
        "schedule.name": ("cosine", "wsd"),
        "compute.fp8": ("off", "row"),
    }
    last = first.model_copy(update={"init_from": "never-read"})
    folder = save_run(tmp_path / "run", last)
    resumed = start(last, Origin(kind="checkpoint", path="step-00000004", step=4), changes)
    record(folder, start(first, Origin(kind="seed", seed=1)), resumed)
    to_hf(folder, tmp_path / "hf")
    card = (tmp_path / "hf/README.md").read_text()
    assert "never-read" not in card
    assert "| started from | random weights, seed 1 |" in card
    for key, (before, now) in list(changes.items())[1:]:
        assert f"| 4 | {key} | {before} | {now} |" in card
    assert "model.config.tie_word_embeddings = False" in card, "how two matrices stay two"

    (folder / HISTORY_FILE).unlink()
    record(folder, resumed)  # the first line is lost
    to_hf(folder, tmp_path / "hf", overwrite=True)
    card = (tmp_path / "hf/README.md").read_text()
    assert "never-read" not in card
    assert "random weights, seed 1 (by the configuration" in card


def test_only_an_untied_model_is_warned_of_resizing(tmp_path: Path, tokenizers: Tokenizers) -> None:
    to_hf(save_run(tmp_path / "run", run_config(T5_V1_0, tokenizers["t5"])), tmp_path / "hf")
    assert "tie_word_embeddings = False" not in (tmp_path / "hf/README.md").read_text()


@pytest.mark.parametrize("config", [BERT, T5_V1_1], ids=["bert", "t5"])
def test_what_import_prints_runs(
    config: Any, tmp_path: Path, tokenizers: Tokenizers, capsys: pytest.CaptureFixture[str]
) -> None:
    """The corpus is built by the command as printed; the run is checked as it is before its ranks start."""
    kind = "t5" if config is T5_V1_1 else "bert"
    folder = write_hf(tmp_path / "hf", config, tokenizers[kind])
    import_hf(folder, tmp_path / "my models")
    printed = capsys.readouterr().out
    build, train = re.findall(r"^  taixue (.*)$", printed, re.M)
    (tmp_path / "text").mkdir()
    (tmp_path / "text/a.txt").write_text("今天天气很好,我们一起去公园散步。\n" * 50, "utf-8")
    assert cli.main(shlex.split(build.replace("YOUR_TEXT", shlex.quote(str(tmp_path / "text"))))) == 0
    command, preset = shlex.split(train)
    assert command == "train"
    run = load(RunConfig, preset)
    validate(run, 1, load_tokenizer(run.data.tokenizer).vocab_size)
    assert Path(run.data.sources[0].corpus, "corpus.json").is_file()
    usual = ("adamw", 5e-5, "linear") if kind == "bert" else ("adafactor", 1e-3, "constant")
    assert (run.optimizer.name, run.optimizer.lr, run.schedule.name) == usual
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"base: [run/{kind}-tiny-cpu, {json.dumps(str(tmp_path / 'my models/model.yaml'))}]\n")
    assert load(RunConfig, mine).model == config, "the preset wins when it is named last"


def test_one_dropout_for_two_is_said(
    tmp_path: Path, tokenizers: Tokenizers, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_hf(tmp_path / "hf", BERT, tokenizers["bert"])
    change_config(folder, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.2)
    import_hf(folder, tmp_path / "imported")
    said = "attention_probs_dropout_prob is 0.2 there and will be 0.1 in exports"
    assert said in capsys.readouterr().out


def test_config_without_model_type(tmp_path: Path) -> None:
    folder = change_config(write_hf(tmp_path / "hf", BERT), model_type=...)
    assert read_hf(folder)[0] == BERT
    change_config(folder, architectures=...)
    with pytest.raises(UserError, match=r'model_type None; legal: t5, .*write the "model_type"'):
        read_hf(folder)
