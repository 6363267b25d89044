"""YAML files to one plain tree of values that remembers where each value came from: `base:` and merging.

The YAML read here is the 1.2 core reading of safe YAML: only true and false are booleans (`wandb: off` stays the
word off), 1e-4 is a number, 012 is no octal. Duplicate keys, anchors and files above 200 kB are refused.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from . import UserError

MAX_BYTES, MAX_FILES, MAX_DIGITS = 200_000, 64, 40
"""Of a file; of a configuration, its bases and theirs included; of a whole number."""

DISCRIMINATORS = ("family", "kind")
"""A section where one of these keys changes describes something else: it is replaced, not merged.

Those told apart by `name` (optimizer, schedule) are merged: what two have in common goes on."""

Where = tuple[str | int, ...]
"""Path of a value inside the tree: ("model", "d_ff"), ("data", "sources", 0, "corpus")."""


@dataclass
class Tree:
    """Merged values, and for every path the file (or "command line") that said so last."""

    values: dict[str, Any] = field(default_factory=dict)
    origin: dict[Where, str] = field(default_factory=dict)
    files: int = 0
    """Read so far."""

    def merge(self, values: Mapping[str, Any], source: str) -> None:
        """Lay `values` over what is there: mappings key by key, anything else as a whole."""
        self._merge(self.values, values, (), source)

    def said_by(self, where: Where) -> str:
        """Source of the value at `where`, or of the nearest section above it; "" when nobody named it."""
        for length in range(len(where), 0, -1):
            if where[:length] in self.origin:
                return self.origin[where[:length]]
        return ""

    def _merge(self, below: dict[str, Any], above: Mapping[str, Any], where: Where, source: str) -> None:
        for key, value in above.items():
            here = (*where, key)
            self.origin[here] = source
            old = below.get(key)
            if isinstance(value, Mapping):
                merges = isinstance(old, dict) and not _describes_another(old, value)
                below[key] = old if merges else {}
                self._merge(below[key], value, here, source)
            else:
                below[key] = value


def _describes_another(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return any(key in new and new[key] != old.get(key, new[key]) for key in DISCRIMINATORS)


def preset_folders() -> list[Path]:
    """Where presets are looked for: inside the installed package, or at the root of the checkout."""
    package = Path(__file__).resolve().parents[1]
    return [folder for folder in (package / "configs", package.parent / "configs") if folder.is_dir()]


def find(name: str, beside: Path | None = None) -> Path:
    """The file a config name means: a path (relative to `beside`, the file that names it), else a preset.

    `model/t5-tiny` is configs/model/t5-tiny.yaml of this distribution. Raises UserError with the known presets.
    """
    path = (beside.parent if beside else Path()) / name
    if path.is_file():
        return path
    for folder in preset_folders():
        preset = folder / f"{name.removesuffix('.yaml').removeprefix('configs/')}.yaml"
        if preset.is_file() and preset.resolve().is_relative_to(folder):
            return preset
    known = sorted(
        str(preset.relative_to(folder).with_suffix(""))
        for folder in preset_folders()
        for preset in folder.rglob("*.yaml")
    )
    asked, most = f"{beside}: base: " if beside else "", 100
    if path.is_dir():
        raise UserError(f"{asked}{name!r} is a folder; name a YAML file in it")
    place = "" if path.is_absolute() or beside else f" (working folder {Path.cwd()})"
    missing = f"{asked}no file and no preset called {name[:most]!r}; looked for {str(path)[:most]}{place}."
    if close := _alike(name[:most], known, path):
        raise UserError(f"{missing} Did you mean {' or '.join(close)}?")
    raise UserError(f"{missing}\nPresets: {', '.join(known)}")


def _alike(name: str, presets: list[str], path: Path) -> list[str]:
    """A file beside `path` or a preset that is spelled much like `name`; a preset named without its folder."""
    if path.parent.is_dir():
        beside = [file.name for file in islice(path.parent.glob("*.y*ml"), 1000)]
        if file := get_close_matches(path.name, beside, n=1, cutoff=0.75):
            return [str(path.parent / file[0])]
    word = name.removesuffix(".yaml").removeprefix("configs/")
    last = [preset for preset in presets if preset.split("/")[-1] == word.split("/")[-1]]
    if close := last or get_close_matches(word, presets, n=1, cutoff=0.75):
        return close
    short = {preset.split("/")[-1]: preset for preset in presets}
    return [short[match] for match in get_close_matches(word.split("/")[-1], short, n=1, cutoff=0.75)]


def read_tree(path: Path, tree: Tree | None = None, above: tuple[Path, ...] = ()) -> Tree:
    """Read a file and the bases it names, nearest last. Raises UserError (syntax, cycles, missing bases)."""
    tree = tree or Tree()
    chain = (*above, path.resolve())
    tree.files += 1
    if tree.files > MAX_FILES:
        raise UserError(f"{above[-1]}: base: with the bases of bases more than {MAX_FILES} files; name fewer")
    if path.resolve() in above:
        raise UserError(f"{above[-1]}: base: the files inherit in a circle: {' -> '.join(map(str, chain))}")
    values = read_yaml(path)
    given = values.pop("base", [])
    bases = [given] if isinstance(given, str) else given
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise UserError(f"{path}: base: should be a name or a list of names, was given {given!r}")
    if len(bases) >= MAX_FILES:
        raise UserError(f"{path}: base: {len(bases):,} names; at most {MAX_FILES - 1}")
    for base in bases:
        read_tree(find(base, beside=path), tree, chain)
    tree.merge(values, str(path))
    return tree


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping a YAML file holds. Raises UserError naming file and line."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path}: {size} bytes; a config has at most {MAX_BYTES}")
        text = (content := path.read_bytes()).decode("utf-8-sig")
        values = parse_yaml(text)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}:{line}: {_other_encoding(content, path)}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        raise UserError(f"{path}{f':{mark.line + 1}' if mark else ''}: {_said(error, text)}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {error}") from None
    except RecursionError:
        raise UserError(f"{path}: nested too deeply") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        given = f" {values[:40]!r}" if isinstance(values, str) else ""
        colon = "; after a key comes a colon and a space, `steps: 5`" if given else ""
        raise UserError(
            f"{path}: should be a mapping of sections, was given {type(values).__name__}{given}{colon}"
        )
    return values


def _other_encoding(content: bytes, path: Path) -> str:
    """What bytes that are not UTF-8 seem to be, and how they become UTF-8."""
    utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    codec = "UTF-16" if utf16 else "GB18030"
    try:
        content.decode(codec)
    except UnicodeDecodeError:
        return "not UTF-8 text, nor any other that is known; a config is YAML, which is text"
    said = codec if utf16 else "GBK or GB18030, as it seems"
    return f"not UTF-8 text but {said}; save it as UTF-8, for example: iconv -f {codec} -t UTF-8 {path} > new.yaml"


def _said(error: yaml.MarkedYAMLError, text: str) -> str:
    """The problem of a YAML error; of the commonest ones what to do."""
    problem, mark = error.problem or "not YAML", error.problem_mark
    line = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "a tab indents this line; YAML is indented by spaces alone"
    if error.context == "expected a single document in the stream":
        return "a second document starts at `---`; a config is one"
    if problem == "found unexpected end of stream" and error.context_mark:
        return (
            f"the file ends inside what begins in line {error.context_mark.line + 1}; a quote is not closed"
        )
    if problem in ("could not find expected ':'", "mapping values are not allowed here"):
        wide = "; this line has a full-width ：" if "：" in line else ""
        return f"{problem}: `key: value`, with a colon and a space, sections indented alike{wide}"
    return problem


def parse_yaml(text: str) -> Any:
    """One YAML document as plain values. Raises yaml.YAMLError."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def dump_yaml(values: Any) -> str:
    """Text that parse_yaml reads back to equal values."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without its surprises."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not supported; use base:", mark
            )
        return super().compose_node(parent, index)

    def construct_yaml_int(self, node: Any) -> int:
        if len(node.value) > MAX_DIGITS:
            problem = f"a whole number of {len(node.value):,} digits; at most {MAX_DIGITS}, or quoted as text"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return int(super().construct_yaml_int(node))

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:null":
                raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key.start_mark)
            if key.value in seen:
                problem = f"key {key.value!r} is given twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
            if isinstance(value, yaml.ScalarNode) and not value.value and value.style is None:
                # "deduplicate:" would silently be none, where its defaults are meant.
                problem = (
                    f"nothing stands behind {key.value!r}: write {{}} for a section's defaults, null for none"
                )
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return {str(key): value for key, value in super().construct_mapping(node, deep).items()}


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """Quotes exactly the words that _Loader would not read as words."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_WHOLE = r"[-+]?(0|[1-9][0-9_]*)"
for _tag, _pattern, _first in (
    ("null", "~|null|", ["~", "n", ""]),
    ("bool", "true|false|True|False", list("tfTF")),
    ("int", _WHOLE, list("-+0123456789")),
    (
        "float",
        rf"({_WHOLE}(\.[0-9]*)?|[-+]?\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+.0123456789"),
    ),
):
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)
