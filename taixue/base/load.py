"""A config file plus overrides to one validated object of the schema; and back to a file.

    run = load(RunConfig, "configs/run/t5-tiny-demo.yaml", ["--parallel.tp", "2"])

Works for any pydantic class: RunConfig here, the configs of data_tools as well. Every mistake in file and overrides
is reported in one UserError, a line each, with the place it came from.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from . import UserError, files
from .explain import explain, shown
from .keys import dotted, fields_at, sections, type_at
from .tree import Tree, Where, dump_yaml, find, parse_yaml, read_tree

Config = TypeVar("Config", bound=BaseModel)
COMMAND_LINE = "command line"


def load(cls: type[Config], name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read file or preset `name`, its bases and the overrides ("--batch.micro_size", "4", ...) into a `cls`.

    Raises UserError listing every problem found.
    """
    path = find(str(name))
    tree = Tree()
    tree.merge(_default_variants(cls), "")
    read_tree(path, tree)
    for where, value in parse_overrides(overrides):
        wanted = type_at(cls, tree.values, where)
        if isinstance(value, str) and wanted not in (str, str | None):
            value = _readvalue_at(value, where)
        if isinstance(value, str) and get_origin(wanted) in (tuple, list):  # one word is a list of one
            value = [value]
        tree.merge(_nest(tree.values, where, value), COMMAND_LINE)
    _leave_out_inherited(cls, tree)
    try:
        return cls.model_validate(tree.values)
    except ValidationError as error:
        raise UserError("\n".join(explain(cls, tree, error, str(path)))) from None


def write_resolved(config: BaseModel, path: Path) -> None:
    """Write every value of `config`, defaults too, as YAML that `load` reads back to an equal object. Atomic."""
    files.write(path, dump_yaml(config.model_dump(mode="json")).encode())


def show_help(cls: type[BaseModel], command: str, default: BaseModel | None = None) -> None:
    """Print every flag of `cls` with its type, meaning and default value (that of `default` when given).

    Sections that are left out, and one section of each list that is empty, are shown with what they would be; the last
    lines say which they are.
    """
    import tyro

    options = (tyro.conf.FlagConversionOff, tyro.conf.AvoidSubcommands)
    left_out: dict[str, list[str]] = {"section": [], "list": []}
    values: Any = _with_every_section(default or _blank(cls), (), left_out)
    try:
        tyro.cli(cls, args=["--help"], default=values, prog=command, config=options, use_underscores=True)
    finally:
        if left_out["section"]:
            print(
                f"Off until a key of theirs is set ({{}}: their defaults): {', '.join(left_out['section'])}"
            )
        if left_out["list"]:
            print(f"Empty, and set as a whole, [{{key: value, ...}}, ...]: {', '.join(left_out['list'])}")


def _with_every_section(config: BaseModel, where: Where, left_out: dict[str, list[str]]) -> BaseModel:
    """`config` with a section where there is none, and where a list is empty; notes where those are."""
    filled: dict[str, Any] = {}
    for key, info in type(config).model_fields.items():
        value, inside = getattr(config, key), list(sections(info.annotation))
        if isinstance(value, BaseModel):
            filled[key] = _with_every_section(value, (*where, key), left_out)
        elif isinstance(value, tuple) and value and inside:
            filled[key] = tuple(
                _with_every_section(item, (*where, key, number), left_out)
                for number, item in enumerate(value)
            )
        elif len(inside) == 1 and (value is None or value == ()):
            left_out["section" if value is None else "list"].append(dotted((*where, key)))
            place = (*where, key) if value is None else (*where, key, 0)
            section = _with_every_section(_blank(inside[0]), place, left_out)
            filled[key] = section if value is None else (section,)
    return config.model_copy(update=filled)


def _blank(section: type[BaseModel]) -> BaseModel:
    """The defaults of a section; keys without one are shown as required."""
    import tyro

    required = {key: tyro.MISSING for key, info in section.model_fields.items() if info.is_required()}
    return section.model_construct(**required)


# Overrides


def parse_overrides(arguments: Sequence[str]) -> list[tuple[Where, Any]]:
    """["--a.b", "1", "--c=[x, y]", "--betas", "0.9", "0.95"] -> [(("a", "b"), "1"), ...]; values stay text.

    Text becomes a number or a boolean where the schema asks for one. [..] and {..} are read as YAML where it does not
    ask for text; `null` is None.
    """
    result: list[tuple[Where, Any]] = []
    rest = list(arguments)
    while rest:
        flag = rest.pop(0)
        if not flag.startswith("--") or flag == "--":
            short = flag.startswith("-") and not flag.startswith("--") and flag != "-"
            also = f"; did you mean -{flag}?" if short else ""
            raise UserError(f"{COMMAND_LINE}: expected --section.key VALUE, was given {flag!r}{also}")
        name, equals, text = flag[2:].partition("=")
        values = [text] if equals else []
        while not equals and rest and not rest[0].startswith("--"):
            values.append(rest.pop(0))
        if not values:
            raise UserError(f"{COMMAND_LINE}: {flag} needs a value")
        where = tuple(int(part) if part.isdecimal() else part.replace("-", "_") for part in name.split("."))
        value = None if values == ["null"] else values[0] if len(values) == 1 else values
        result.append((where, value))
    return result


def _readvalue_at(text: str, where: Where) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", error)
    except RecursionError:
        problem = "nested too deeply"
    raise UserError(f"{COMMAND_LINE}: --{dotted(where)}: {shown(text)} is not YAML: {problem}")


def _nest(values: Any, where: Where, value: Any, depth: int = 0) -> dict[str, Any]:
    """The tree that holds only `value` at where[depth:]; a list on the way is copied with one item replaced."""
    key = str(where[depth])
    if depth + 1 == len(where):
        return {key: value}
    below = values.get(key) if isinstance(values, Mapping) else None
    index = where[depth + 1]
    if not isinstance(index, int):
        return {key: _nest(below, where, value, depth + 1)}
    items = list(below) if isinstance(below, list) else []
    if index >= len(items):
        raise UserError(
            f"{COMMAND_LINE}: {dotted(where)}: {dotted(where[: depth + 1])} has {len(items)} items, counted from 0"
        )
    if depth + 2 < len(where):
        item = Tree(values=dict(items[index]) if isinstance(items[index], Mapping) else {})
        item.merge(_nest(items[index], where, value, depth + 2), COMMAND_LINE)
        value = item.values
    items[index] = value
    return {key: items}


def _default_variants(cls: type[BaseModel]) -> dict[str, Any]:
    """{"model": {"family": "t5"}, ...}: what a section is until a file says otherwise."""
    return {
        name: {info.discriminator: getattr(info.default, info.discriminator)}
        for name, info in cls.model_fields.items()
        if isinstance(info.discriminator, str) and isinstance(info.default, BaseModel)
    }


def _leave_out_inherited(cls: type[BaseModel], tree: Tree) -> None:
    """Where `name` chose another variant than the file that gave a key had in mind, keys it does not know go."""
    for section in cls.model_fields:
        values = tree.values.get(section)
        fields = fields_at(cls, tree.values, (section,))
        if not isinstance(values, dict) or "name" not in values or "name" not in fields:
            continue
        chosen_by = tree.said_by((section, "name"))
        for key in [key for key in values if key not in fields]:
            if chosen_by and tree.said_by((section, key)) != chosen_by:
                del values[key]
