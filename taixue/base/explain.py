"""What pydantic found wrong with a configuration, in the words of its reader: file, key, what it is, what is legal."""

import re
import types
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from .keys import DISCRIMINATORS, all_paths, dotted, fields_at, type_at, value_at
from .tree import Tree, Where

MOST_KEYS, LONGEST_KEY = 8, 100
_NO_SECTION = ("model_type", "model_attributes_type", "dict_type")


MOST, LOOKED_AT = 5, 200
"""Problems that are told one by one; those among which they are chosen."""


def explain(cls: type[BaseModel], tree: Tree, error: ValidationError, path: str) -> Iterator[str]:
    """A line for each problem; the first MOST, and how many more there are."""
    problems = [dict(problem) for problem in error.errors(include_url=False)]
    found = list(_own_problems(cls, tree, problems[:LOOKED_AT]))
    for where, problem in found[:MOST]:
        source = tree.said_by(where) or path
        yield f"{source}: {dotted(where)}: {_sentence(cls, tree, where, problem)}"
    if len(found) > MOST:
        yield f"and {len(found) - MOST + len(problems[LOOKED_AT:]):,} more"


def shown(value: Any, most: int = 80) -> str:
    """`value` as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}... ({len(text):,} characters)"


def _own_problems(
    cls: type[BaseModel], tree: Tree, problems: list[dict[str, Any]]
) -> Iterator[tuple[Where, dict[str, Any]]]:
    """Problems and their places, without those that only follow from another: items that have mistakes are not counted,
    a section is no boolean, and a key that is misspelled is not missing, too."""
    places = [_without_tags(cls, problem["loc"], tree) for problem in problems]
    kinds = {(where, problem["type"]) for where, problem in zip(places, problems, strict=True)}
    no_sections = {where for where, kind in kinds if kind in _NO_SECTION}
    above = {where[:length] for where in places for length in range(len(where))}
    misspelled = {
        (*where[:-1], key)
        for where, kind in kinds
        if kind == "extra_forbidden"
        for key in _alike(where[-1], fields_at(cls, tree.values, where[:-1]))
    }
    for where, problem in zip(places, problems, strict=True):
        kind = problem["type"]
        counted = kind == "too_short" or isinstance(value_at(tree, where), dict)
        if (where in above and counted) or (kind == "missing" and where in misspelled):
            continue
        if where not in no_sections or kind in _NO_SECTION:
            yield where, problem


def _without_tags(cls: type[BaseModel], location: Where, tree: Tree) -> Where:
    """pydantic puts the name of the chosen variant into the location: ("model", "t5", "d_ff"), and that of a type where
    several are legal: ("normalize", "bool"). Drop it."""
    values: Any = tree.values
    where: list[str | int] = []
    for part in location:
        tag = isinstance(values, dict) and part not in values and part in map(values.get, DISCRIMINATORS)
        tag = tag or part in _type_names(cls, tree.values, tuple(where))
        if tag and part not in fields_at(cls, tree.values, tuple(where)):
            continue
        where.append(part)
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            values = None
    return tuple(where)


def _type_names(cls: type[BaseModel], values: Any, where: Where) -> set[str]:
    """Names that pydantic has for the types that are legal at `where`, where there are several."""
    legal = type_at(cls, values, where) if where else None
    several = get_args(legal) if get_origin(legal) in (Union, types.UnionType) else ()
    return {getattr(one, "__name__", "") for one in several}


def _sentence(cls: type[BaseModel], tree: Tree, where: Where, problem: dict[str, Any]) -> str:
    context = problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            return "unknown key" + _nearest(cls, tree, where)
        case "missing":
            return "is required"
        case "union_tag_invalid":
            key, tags = context["discriminator"].strip("'"), context["expected_tags"]
            close = _alike(context["tag"].lower(), re.findall("'([^']*)'", tags))
            meant = f"did you mean {close[0]!r}? " if close else ""
            return (
                f"{key} is {shown(context['tag'])}; {meant}legal: {tags}; one of your own is there in the script that "
                "registers it"
            )
        case "union_tag_not_found":
            return f"{context['discriminator']} is missing"
        case kind if kind in _NO_SECTION:
            keys = _keys(cls, tree, where) or "with keys"
            return f"should be a section {keys}, was given {shown(problem['input'])}"
        case "int_parsing_size":
            return f"should be a whole number of fewer digits; was given {shown(problem['input'])}"
        case "too_short":
            least = context["min_length"]
            return f"should have at least {least} {'item' if least == 1 else 'items'}, has {context['actual_length']}"
        case "tuple_type" | "list_type":
            keys, given = _keys(cls, tree, where), problem["input"]
            items = f"a list of sections {keys}: [{{...}}]" if keys else "a list: [...]"
            return f"should be {items}, was given {'one section ' * isinstance(given, dict)}{shown(given)}"
    message = (
        problem["msg"]
        .removeprefix("Value error, ")
        .replace("Input should", "should")
        .replace("String should", "should")
    )
    given = problem["input"]
    return message if isinstance(given, (dict, list, tuple)) else f"{message}; was given {shown(given)}"


def _nearest(cls: type[BaseModel], tree: Tree, where: Where) -> str:
    *above, key = where
    siblings = fields_at(cls, tree.values, tuple(above))
    if close := _alike(key, siblings):
        return f"; did you mean {dotted((*above, close[0]))}?"
    elsewhere = sorted({dotted(path) for path in all_paths(cls) if path[-1] == key} - {dotted(where)})
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    if not above and "." in str(key):
        section, _, rest = str(key).partition(".")
        inside = f"{rest.replace('.', ': {')}: ...{'}' * rest.count('.')}"
        return f"; in a file a section is a key of its own: {section}: {{{inside}}}"
    return f"; legal here: {', '.join(sorted(siblings))}"


def _alike(word: Any, words: Iterable[str]) -> list[str]:
    """The one of `words` that `word` was probably meant to be, if any."""
    return get_close_matches(str(word)[:LONGEST_KEY], words, n=1)


def _keys(cls: type[BaseModel], tree: Tree, where: Where) -> str:
    """ "with the keys a, b, c", those that must be there first; "" where no section is meant."""
    fields = fields_at(cls, tree.values, where)
    names = sorted(fields, key=lambda name: not fields[name].is_required())
    more = ", ..." if len(names) > MOST_KEYS else ""
    return f"with the keys {', '.join(names[:MOST_KEYS])}{more}" if names else ""
