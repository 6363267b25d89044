"""YAML as configs use it, merging, inheritance."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taixue import UserError
from taixue.base.tree import MAX_BYTES, MAX_FILES, Tree, dump_yaml, find, parse_yaml, read_tree

NUMBERLIKE = r"[-+.0-9eE_:x~]{1,6}|null|true|off|No"
TEXT = st.text(st.characters(exclude_characters="\x85\u2028\u2029"))
"""PyYAML writes these three line breaks as they are and reads them as spaces."""

KEYS = st.sampled_from(["a", "b", "c", "d"])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXT
    | st.from_regex(NUMBERLIKE, fullmatch=True),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=3),
    max_leaves=10,
)
TREES = st.dictionaries(KEYS, VALUES, max_size=4)


def merged(*layers: dict[str, Any]) -> dict[str, Any]:
    tree = Tree()
    for layer in layers:
        tree.merge(layer, "file")
    return tree.values


@given(TREES)
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    assert parse_yaml(dump_yaml(values)) == values


@given(TREES, TREES)
def test_merging(below: dict[str, Any], above: dict[str, Any]) -> None:
    assert merged(below, {}) == below
    assert merged(below, below) == below
    assert merged(below, above, above) == merged(below, above)
    result = merged(below, above)
    assert set(result) == set(below) | set(above)
    for key, value in above.items():
        if not isinstance(value, dict):
            assert result[key] == value


@given(TREES, TREES)
def test_merging_leaves_its_inputs_alone(below: dict[str, Any], above: dict[str, Any]) -> None:
    before = repr((below, above))
    merged(below, above)
    assert repr((below, above)) == before


def test_a_section_that_describes_another_thing_is_replaced() -> None:
    t5, bert = {"model": {"family": "t5", "d_ff": 8}}, {"model": {"family": "bert", "norm": "pre"}}
    assert merged(t5, bert) == bert
    assert merged(t5, {"model": {"family": "t5", "d_model": 4}})["model"] == {
        "family": "t5",
        "d_ff": 8,
        "d_model": 4,
    }
    assert merged(t5, {"model": {"d_ff": 9}})["model"] == {"family": "t5", "d_ff": 9}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("no", "no"),
        ("yes", "yes"),
        ("true", True),
        ("1e-4", 1e-4),
        ("2.5E3", 2500.0),
        ("100_000", 100_000),
        ("012", "012"),
        ("1:30", "1:30"),
        ("2026-01-02", "2026-01-02"),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("'5'", "5"),
    ],
)
def test_scalars_hold_no_surprises(text: str, value: Any) -> None:
    assert parse_yaml(text) == value
    assert type(parse_yaml(text)) is type(value)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: 1\nsteps: 2\n", "run.yaml:2: key 'steps' is given twice"),
        ("model: {d_ff: 1, d_ff: 2}\n", "run.yaml:1: key 'd_ff' is given twice"),
        ("a: &x [1]\nb: *x\n", "run.yaml:2: aliases (*name) are not supported"),
        ("steps: [1, 2\n", "run.yaml:2: "),
        ("- 1\n", "should be a mapping of sections, was given list"),
        ("a: !!python/object/apply:os.system [ls]\n", "run.yaml:1: could not determine a constructor"),
        (
            "steps: 1\nmodel:\n",
            "run.yaml:2: nothing stands behind 'model': write {} for a section's defaults, null",
        ),
        ("? [1]\n: 2\n", "run.yaml:1: a key must be a word"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("#" + "x" * MAX_BYTES, f"a config has at most {MAX_BYTES}"),
        ("base: 5\n", "run.yaml: base: should be a name or a list of names, was given 5"),
        ("base: [other]\n", "run.yaml: base: no file and no preset called 'other'"),
        ("a: \x07\n", "run.yaml: not YAML"),
        ("a:\n\tb: 1\n", "run.yaml:2: a tab indents this line"),
        ("a:\n  b: 1\n\tc: 1\n", "run.yaml:3: a tab indents this line"),
        ("steps：5\n", "given str 'steps：5'; after a key comes a colon and a space"),
        ("steps: 5\n---\nsteps: 6\n", "run.yaml:2: a second document starts at `---`"),
        (
            "steps: 5\nname: 'x\n",
            "run.yaml:3: the file ends inside what begins in line 2; a quote is not closed",
        ),
        (f"steps: {'9' * 5000}\n", "run.yaml:1: a whole number of 5,000 digits; at most 40"),
        (f"base: [{'model/t5-tiny, ' * 10_000}]\n", "run.yaml: base: 10,000 names; at most 63"),
    ],
)
def test_bad_files_are_refused_with_a_place(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        read_tree(write(tmp_path / "run.yaml", text))
    assert says in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "a: 1\n# 中文\n".encode("gbk"),
            ":2: not UTF-8 text but GBK or GB18030, as it seems; save it as UTF-8",
        ),
        (
            "# 中文\n".encode("utf-16"),
            ":1: not UTF-8 text but UTF-16; save it as UTF-8, for example: iconv -f UTF-16",
        ),
        (b"\xff\xff\xff", ":1: not UTF-8 text, nor any other that is known"),
    ],
)
def test_not_utf8(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(content)
    with pytest.raises(UserError) as error:
        read_tree(tmp_path / "run.yaml")
    assert says in str(error.value)


def test_a_long_line_of_bases_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "0.yaml", "steps: 1\n")
    for number in range(1, MAX_FILES + 1):
        write(tmp_path / f"{number}.yaml", f"base: {number - 1}.yaml\n")
    assert read_tree(tmp_path / f"{MAX_FILES - 1}.yaml").values == {"steps": 1}
    with pytest.raises(UserError, match=f"with the bases of bases more than {MAX_FILES} files"):
        read_tree(tmp_path / f"{MAX_FILES}.yaml")


@pytest.mark.parametrize("name", ["run/t5-tiny-dmeo", "t5-tiny-demo", "run/t5-tiny-demo.yml", "t5-tiny-dmo"])
def test_a_preset_is_recognised(name: str) -> None:
    with pytest.raises(UserError) as error:
        find(name)
    said = str(error.value)
    assert said.endswith(f"(working folder {Path.cwd()}). Did you mean run/t5-tiny-demo?")
    assert len(said.splitlines()) == 1


def test_a_file_beside_is_recognised(tmp_path: Path) -> None:
    write(tmp_path / "my-run.yaml", "steps: 1\n")
    with pytest.raises(UserError, match=r"Did you mean .*/my-run.yaml\?"):
        find(str(tmp_path / "my_run.yaml"))
    with pytest.raises(UserError, match="is a folder; name a YAML file in it"):
        find(str(tmp_path))


def test_bases_nearest_last(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    write(tmp_path / "a.yaml", "x: 1\ny: 1\nz: 1\n")
    write(tmp_path / "sub/b.yaml", "base: ../a.yaml\ny: 2\nz: 2\n")
    path = write(tmp_path / "c.yaml", "base: [a.yaml, sub/b.yaml]\nz: 3\n")
    tree = read_tree(path)
    assert tree.values == {"x": 1, "y": 2, "z": 3}
    assert tree.said_by(("y",)).endswith("b.yaml")
    assert tree.said_by(("z",)) == str(path)


def test_a_circle_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "base: b.yaml\n")
    write(tmp_path / "b.yaml", "base: a.yaml\n")
    with pytest.raises(UserError, match="inherit in a circle"):
        read_tree(tmp_path / "a.yaml")


def test_the_same_base_twice_is_no_circle(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "x: 1\n")
    write(tmp_path / "b.yaml", "base: a.yaml\n")
    assert read_tree(write(tmp_path / "c.yaml", "base: [a.yaml, b.yaml]\n")).values == {"x": 1}


def test_presets_stay_inside_their_folder() -> None:
    assert find("model/t5-tiny").name == "t5-tiny.yaml"
    with pytest.raises(UserError, match="no file and no preset"):
        find("../.pre-commit-config")
