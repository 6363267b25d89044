"""Reports, other vocabularies and speed from the command line, on a corpus made by the command line."""

from pathlib import Path

import orjson
import pytest

from taixue.launch.cli import main

SAMPLE = Path(__file__).parents[2] / "data_tools/sample"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokenizer") / "t5"
    (out.parent / "tokenizer.yaml").write_text(
        f"kind: t5\nvocab_size: 2000\ninputs: ['{SAMPLE / 'cities.jsonl'}']\noutput: '{out}'\n"
    )
    assert main(["tokenizer", "train", str(out.parent / "tokenizer.yaml")]) == 0
    return out


def test_vocabularies(tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "words.tsv").write_text("张量并行\t12\n# more\n流水线并行\t3\n")
    longer, shorter = tmp_path / "longer", tmp_path / "shorter"
    assert (
        main(["tokenizer", "extend", str(tokenizer), str(longer), "--words", str(tmp_path / "words.tsv")])
        == 0
    )
    assert f"{longer}: 2 pieces added, 0 words skipped" in capsys.readouterr().out
    assert (
        main(["tokenizer", "trim", str(longer), str(shorter), "--inputs", str(SAMPLE / "cities.jsonl")]) == 0
    )
    assert "pieces dropped" in capsys.readouterr().out
    change = orjson.loads((shorter / "vocabulary_change.json").read_bytes())
    assert change["dropped"] >= 2


def test_report(tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "corpus.yaml").write_text(
        f"tokenizer: '{tokenizer}'\noutput: '{tmp_path / 'corpus'}'\nworkers: 1\n"
        f"sources: [{{name: cities, inputs: ['{SAMPLE / 'cities.jsonl'}']}}]\n"
    )
    assert main(["corpus", "build", str(tmp_path / "corpus.yaml")]) == 0
    capsys.readouterr()
    page = tmp_path / "page" / "report.html"
    options = ["--out", str(page.parent), "--tokenizer", str(tokenizer)]
    assert main(["corpus", "report", str(tmp_path / "corpus"), *options]) == 0
    assert capsys.readouterr().out.strip() == str(page)
    assert "cities" in page.read_text()
    assert (page.parent / "report.json").is_file()


def test_bench(tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--inputs", str(SAMPLE / "cities.jsonl"), "--tokenizer", str(tokenizer), "--rounds", "1"]
    words += ["--peers", "sentencepiece", "--json", str(tmp_path / "r.json")]
    assert main(["bench", "corpus", *words]) == 0
    out = capsys.readouterr().out
    assert "unigram ids" in out
    assert "all steps, annotation" in out
    assert "where the " in out
    assert orjson.loads((tmp_path / "r.json").read_bytes())["format"] == "taixue-bench-corpus"
