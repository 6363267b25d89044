"""The folder of a corpus: nothing of earlier builds, all of the user's, one build at a time."""

import json
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from taixue import UserError
from taixue.data_tools import read
from taixue.data_tools.bench.made_pages import pages
from taixue.data_tools.build.builder import build
from taixue.data_tools.config import CorpusBuildConfig
from taixue.data_tools.report import report
from taixue.data_tools.shards import manifest

from ..read.test_warc import _http, _record
from ..texts import make_texts, write_jsonl


def _config(folder: Path, tokenizer: Path, sources: dict[str, int], **settings: object) -> CorpusBuildConfig:
    """A corpus of sources with so many documents each; two broken lines in each."""
    entries = []
    for name, count in sources.items():
        path = write_jsonl(folder / name / "a.jsonl", make_texts(count, seed=len(name)))
        path.write_bytes(path.read_bytes() + b'{"text": 3}\n{"text": \n')
        entries.append({"name": name, "inputs": [str(folder / name)]})
    chosen = {
        "output": str(folder / "corpus"),
        "workers": 1,
        "shard_bytes": 9_000,
        "validation_fraction": 0.1,
    }
    return CorpusBuildConfig.model_validate(
        {"tokenizer": str(tokenizer), "sources": entries} | chosen | settings
    )


def _names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_was_removed_is_gone(tmp_path: Path, t5_folder: Path) -> None:
    """A source taken out, a source that shrank, annotation and evaluation sets switched off: as a fresh build."""
    evaluation = write_jsonl(tmp_path / "eval.jsonl", ["这是测试集里的一句很长的话,它不该出现在训练语料里。"])
    folder = build(
        _config(
            tmp_path,
            t5_folder,
            {"web": 60, "withdrawn": 30},
            annotate={},
            deduplicate={},
            decontaminate={"inputs": [str(evaluation)]},
        )
    )
    report(folder)
    assert any(name.startswith("quarantine/withdrawn") for name in _names(folder))
    (folder / "stats" / ".withdrawn-00000.clean.json.host-12.tmp").write_text("left by a kill")
    (folder / ".train-withdrawn-00000.bin.host-12.tmp").write_text("left by a kill")
    (folder / "train-withdrawn-00000.json").unlink()  # corpus.json still says whose its files are
    users = {"README.md": "mine", "quarantine/notes.txt": "mine", "stats/summary.json": "mine"}
    for name, text in users.items():
        (folder / name).write_text(text)

    fewer = _config(tmp_path, t5_folder, {"web": 20})
    build(fewer)
    fresh = build(fewer.model_copy(update={"output": str(tmp_path / "fresh")}))
    assert _names(folder) == _names(fresh) | users.keys()
    listed = {shard.name for shard in manifest.read_corpus(folder).shards}
    assert {path.stem for path in folder.glob("*.bin")} == listed


def test_shards_of_a_killed_build_go_with_the_next(tmp_path: Path, t5_folder: Path) -> None:
    """A kill before the manifest: work/build.json knows whose the .bin is."""
    config = _config(tmp_path, t5_folder, {"web": 30})
    code = (
        "import os, sys; from taixue.data_tools.shards import manifest;"
        "from taixue.data_tools.build.builder import build;"
        "from taixue.data_tools.config import CorpusBuildConfig; manifest.write = lambda *_: os._exit(9);"
        "build(CorpusBuildConfig.model_validate_json(sys.argv[1]))"
    )
    killed = subprocess.run([sys.executable, "-c", code, config.model_dump_json()], capture_output=True)
    assert killed.returncode == 9
    folder = Path(config.output)
    assert (folder / "train-web-00000.bin").exists()
    assert not list(folder.glob("train-*.json"))
    build(_config(tmp_path, t5_folder, {"other": 5}))
    assert not list(folder.glob("*web*"))


def test_files_of_others_are_not_touched(tmp_path: Path, t5_folder: Path) -> None:
    config = _config(tmp_path, t5_folder, {"web": 5})
    folder = Path(config.output)
    folder.mkdir()
    foreign = folder / "train-web-00000.bin"
    for path in (foreign, folder / "validation-books-00003.json"):
        path.write_bytes(b"[]")
        with pytest.raises(UserError, match=f"{path.name}: called like a shard, but no build in this folder"):
            build(config)
        assert path.read_bytes() == b"[]"
        path.unlink()
    build(config)


def test_a_report_outlives_only_its_corpus(tmp_path: Path, t5_folder: Path) -> None:
    config = _config(tmp_path, t5_folder, {"web": 20, "news": 5})
    folder = build(config)
    report(folder)
    build(config)
    assert (folder / "report.html").exists()
    build(_config(tmp_path, t5_folder, {"web": 20}))
    assert not (folder / "report.html").exists()
    assert not (folder / "report.json").exists()


def test_a_second_build_is_refused(tmp_path: Path, t5_folder: Path) -> None:
    """The same rank twice, and another build; after the first is dead both may."""
    config = _config(tmp_path, t5_folder, {"web": 40}, deduplicate={})
    code = (
        "import sys, time; from taixue.data_tools.build import builder;"
        "from taixue.data_tools.config import CorpusBuildConfig; builder._build = lambda *_: time.sleep(100);"
        "builder.build(CorpusBuildConfig.model_validate_json(sys.argv[1]), 0, 2)"
    )
    first = subprocess.Popen([sys.executable, "-c", code, config.model_dump_json()])
    try:
        record = Path(config.output, "work", "build.json")
        end = time.monotonic() + 60
        while not record.exists() and time.monotonic() < end:
            time.sleep(0.02)
        with pytest.raises(UserError, match=rf"process {first.pid} on .* is building here as rank 0 already"):
            build(config, 0, 2)
        other = config.model_copy(update={"seed": 5})
        with pytest.raises(UserError, match=rf"process {first.pid} on .* is building another corpus here"):
            build(other, 1, 2)
        with pytest.raises(UserError, match="number of ranks"):
            build(config, 2, 3)
        assert json.loads(record.read_bytes())["sources"][0]["name"] == "web"
    finally:
        first.kill()
        first.wait()
    build(other)
    assert not Path(config.output, "work").exists()


def test_ranks_that_owe_nothing_keep_nobody_waiting(tmp_path: Path, t5_folder: Path) -> None:
    """Of three ranks one never comes: the two others, which see each other's signs of life, both end."""
    config = _config(tmp_path, t5_folder, {"web": 40}, deduplicate={}, wait_minutes=0.05)
    code = (
        "import sys; from taixue.data_tools.build import builder;"
        "from taixue.data_tools.config import CorpusBuildConfig; from taixue import UserError\n"
        "try: builder.build(CorpusBuildConfig.model_validate_json(sys.argv[1]), int(sys.argv[2]), 3)\n"
        "except UserError as error: print(error); sys.exit(2)"
    )
    command = [sys.executable, "-c", code, config.model_dump_json()]
    ranks = [subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True) for rank in (0, 1)]
    said = [rank.communicate(timeout=120)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [2, 2]
    assert all("tasks of ranks 2 are not finished" in text for text in said)


def test_versions_of_libraries_are_not_mixed(
    tmp_path: Path, t5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another version makes other shards; in the middle of a build it is refused, with both versions."""
    config = _config(tmp_path, t5_folder, {"web": 30})
    page = pages()[0]
    (tmp_path / "web" / "b.warc").write_bytes(_record(_http(page.content, kind="text/html")))
    folder = build(config)
    library = f"resiliparse {version('resiliparse')}"
    made = {path.stem: json.loads(path.read_bytes()) for path in folder.glob("train-*.json")}
    assert {shard["extractor"] for shard in made.values()} == {"", library}
    assert manifest.read_corpus(folder).extractor == library
    report(folder)
    assert f"text of HTML pages by {library}" in (folder / "report.html").read_text()

    half = config.model_copy(update={"output": str(tmp_path / "half")})
    build(half, 0, 2)
    monkeypatch.setattr(read, "page_library", lambda: "resiliparse 0.1")
    said = f"was begun with {library}, and now it is resiliparse 0.1, .* install resiliparse=={library.split()[1]} "
    with pytest.raises(UserError, match=said):
        build(half, 1, 2)
    shutil.rmtree(tmp_path / "half" / "work")
    build(half)
    again = {path.stem: json.loads(path.read_bytes()) for path in (tmp_path / "half").glob("train-*.json")}
    changed = {name for name, shard in again.items() if shard["stamp"] != made[name]["stamp"]}
    assert (
        changed == {name for name, shard in again.items() if shard["extractor"] == "resiliparse 0.1"} != set()
    )


@pytest.mark.parametrize("output", ["web", "web/corpus"])
def test_an_output_inside_of_an_input_is_refused(tmp_path: Path, t5_folder: Path, output: str) -> None:
    """The next build would read the lists of this one."""
    config = _config(tmp_path, t5_folder, {"web": 3}, output=str(tmp_path / output))
    with pytest.raises(UserError, match=r"output '.*' lies in the input '.*' of source 'web'"):
        build(config)
    assert _names(tmp_path / "web") == {"a.jsonl"}


def test_what_is_not_there_is_said_to_be_so(tmp_path: Path, t5_folder: Path) -> None:
    config = _config(tmp_path, t5_folder, {"web": 3})
    (tmp_path / "web" / "a.jsonl").unlink()
    (tmp_path / "web").rmdir()
    with pytest.raises(UserError, match=r"^input '.*web' does not exist \(working folder "):
        build(config)
