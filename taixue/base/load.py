"""A config file plus overrides to one validated object of the schema; and back to a file.

    run = load(RunConfig, "configs/run/t5-tiny-demo.yaml", ["--parallel.tp", "2"])

Works for any pydantic class: RunConfig here, the configs of data_tools as well. Every mistake in file and overrides
is reported in one UserError, a line each, with the place it came from.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from . import UserError, files
from .tree import DISCRIMINATORS as REPLACING
from .tree import Tree, Where, dump_yaml, find, parse_yaml, read_tree

Config = TypeVar("Config", bound=BaseModel)
COMMAND_LINE = "command line"
DISCRIMINATORS = (*REPLACING, "name")
"""Keys that say which variant of a section is meant."""


def load(cls: type[Config], name: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read file or preset `name`, its bases and the overrides ("--batch.micro_size", "4", ...) into a `cls`.

    Raises UserError listing every problem found.
    """
    path = find(str(name))
    tree = Tree()
    tree.merge(_default_variants(cls), "")
    read_tree(path, tree)
    for where, value in parse_overrides(overrides):
        wanted = _wanted(cls, tree.values, where)
        if isinstance(value, str) and wanted not in (str, str | None):
            value = _read_value(value, where)
        if isinstance(value, str) and get_origin(wanted) in (tuple, list):  # one word is a list of one
            value = [value]
        tree.merge(_nest(tree.values, where, value), COMMAND_LINE)
    _leave_out_inherited(cls, tree)
    try:
        return cls.model_validate(tree.values)
    except ValidationError as error:
        raise UserError("\n".join(_explain(cls, tree, error, str(path)))) from None


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
        value, sections = getattr(config, key), list(_sections(info.annotation))
        if isinstance(value, BaseModel):
            filled[key] = _with_every_section(value, (*where, key), left_out)
        elif isinstance(value, tuple) and value and sections:
            filled[key] = tuple(
                _with_every_section(item, (*where, key, number), left_out)
                for number, item in enumerate(value)
            )
        elif len(sections) == 1 and (value is None or value == ()):
            left_out["section" if value is None else "list"].append(dotted((*where, key)))
            place = (*where, key) if value is None else (*where, key, 0)
            section = _with_every_section(_blank(sections[0]), place, left_out)
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
            raise UserError(f"{COMMAND_LINE}: expected --section.key VALUE, was given {flag!r}")
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


def _read_value(text: str, where: Where) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return parse_yaml(text)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", error)
        raise UserError(f"{COMMAND_LINE}: --{dotted(where)}: {text} is not YAML: {problem}") from None


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


# The schema as data


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
        fields = _fields_at(cls, tree.values, (section,))
        if not isinstance(values, dict) or "name" not in values or "name" not in fields:
            continue
        chosen_by = tree.said_by((section, "name"))
        for key in [key for key in values if key not in fields]:
            if chosen_by and tree.said_by((section, key)) != chosen_by:
                del values[key]


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every pydantic class named inside a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, list):
        for argument in get_args(annotation):
            yield from _sections(argument)


def _fields_at(cls: type[BaseModel], values: Any, where: Where) -> dict[str, FieldInfo]:
    """Legal keys of the section at `where`; the variant that `values` chooses where there are several."""
    section = cls
    for key in where:
        values = _at(values, key)
        if isinstance(key, int):
            continue
        if key not in section.model_fields:
            return {}
        choices = list(_sections(section.model_fields[key].annotation))
        if not choices:
            return {}
        section = next((choice for choice in choices if _chosen(choice, values)), choices[0])
    return dict(section.model_fields)


def _at(values: Any, key: str | int) -> Any:
    if isinstance(values, dict):
        return values.get(key)
    return values[key] if isinstance(values, list) and isinstance(key, int) and key < len(values) else None


def _wanted(cls: type[BaseModel], values: Any, where: Where) -> Any:
    """The type that the schema has for the value at `where`; None where it has none."""
    info = _fields_at(cls, values, where[:-1]).get(str(where[-1]))
    return None if info is None else info.annotation


def _chosen(section: type[BaseModel], values: Any) -> bool:
    return isinstance(values, Mapping) and any(
        key in values and key in section.model_fields and section.model_fields[key].default == values[key]
        for key in DISCRIMINATORS
    )


def _all_paths(cls: type[BaseModel], above: Where = ()) -> Iterator[Where]:
    for name, info in cls.model_fields.items():
        yield (*above, name)
        for section in _sections(info.annotation):
            yield from _all_paths(section, (*above, name))


# Explanations

_NO_SECTION = ("model_type", "model_attributes_type", "dict_type")


def _explain(cls: type[BaseModel], tree: Tree, error: ValidationError, path: str) -> Iterator[str]:
    problems = error.errors(include_url=False)
    places = [_without_tags(cls, problem["loc"], tree) for problem in problems]
    sections = {
        where for where, problem in zip(places, problems, strict=True) if problem["type"] in _NO_SECTION
    }
    for where, problem in zip(places, problems, strict=True):
        # Items that have mistakes are not counted, and a section is no boolean.
        inside = any(other[: len(where)] == where != other for other in places)
        if inside and (problem["type"] == "too_short" or isinstance(_value(tree, where), dict)):
            continue
        if where in sections and problem["type"] not in _NO_SECTION:
            continue
        source = tree.said_by(where) or path
        yield f"{source}: {dotted(where)}: {_sentence(cls, tree, where, dict(problem))}"


def _without_tags(cls: type[BaseModel], location: Where, tree: Tree) -> Where:
    """pydantic puts the name of the chosen variant into the location: ("model", "t5", "d_ff"), and that of a type where
    several are legal: ("normalize", "bool"). Drop it."""
    values: Any = tree.values
    where: list[str | int] = []
    for part in location:
        tag = isinstance(values, dict) and part not in values and part in map(values.get, DISCRIMINATORS)
        tag = tag or part in _type_names(cls, tree.values, tuple(where))
        if tag and part not in _fields_at(cls, tree.values, tuple(where)):
            continue
        where.append(part)
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            values = None
    return tuple(where)


def _type_names(cls: type[BaseModel], values: Any, where: Where) -> set[str]:
    """Names that pydantic has for the types that are legal at `where`, where there are several."""
    wanted = _wanted(cls, values, where) if where else None
    several = get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else ()
    return {getattr(one, "__name__", "") for one in several}


def _value(tree: Tree, where: Where) -> Any:
    values: Any = tree.values
    for part in where:
        values = _at(values, part)
    return values


def _sentence(cls: type[BaseModel], tree: Tree, where: Where, problem: dict[str, Any]) -> str:
    context = problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            return "unknown key" + _nearest(cls, tree, where)
        case "missing":
            return "is required"
        case "union_tag_invalid":
            key = context["discriminator"].strip("'")
            return (
                f"{key} is {context['tag']!r}; legal: {context['expected_tags']}; one of your own is there in the "
                "script that registers it"
            )
        case "union_tag_not_found":
            return f"{context['discriminator']} is missing"
        case kind if kind in _NO_SECTION:
            return f"should be a section with keys, was given {problem['input']!r}"
        case "too_short":
            least = context["min_length"]
            return f"should have at least {least} {'item' if least == 1 else 'items'}, has {context['actual_length']}"
        case "tuple_type" | "list_type":
            return f"should be a list: [...], was given {problem['input']!r}"
    message = (
        problem["msg"]
        .removeprefix("Value error, ")
        .replace("Input should", "should")
        .replace("String should", "should")
    )
    given = problem["input"]
    return message if isinstance(given, (dict, list, tuple)) else f"{message}; was given {given!r}"


def _nearest(cls: type[BaseModel], tree: Tree, where: Where) -> str:
    *above, key = where
    siblings = _fields_at(cls, tree.values, tuple(above))
    close = get_close_matches(str(key), siblings, n=1)
    if close:
        return f"; did you mean {dotted((*above, close[0]))}?"
    elsewhere = sorted({dotted(path) for path in _all_paths(cls) if path[-1] == key} - {dotted(where)})
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    return f"; legal here: {', '.join(sorted(siblings))}"


def dotted(where: Where) -> str:
    """("data", "sources", 0) -> "data.sources.0"."""
    return ".".join(map(str, where))
