"""Open registries: what a configuration can name, Taixue's own and a user's alike.

A user's script registers its own kinds first and then calls `taixue.main()`. The unions of the schema are built from
the registries when pretrain/config/schema.py is first imported; from then on a registry is closed, so that every rank
and every reader of a configuration sees the same one. Nothing is ever imported because a configuration names it.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Generic, Protocol, TypeVar, Union

from pydantic import Field

from .section import Section


class Named(Protocol):
    """What a registry holds: a record with the name that configurations use, and its section."""

    @property
    def name(self) -> str: ...
    @property
    def config(self) -> type[Section]: ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Generic[Entry]):
    """Records by name, in the order of their registration."""

    def __init__(self, kind: str, discriminator: str) -> None:
        """kind: for messages. discriminator: the key of a section that names the record, e.g. "family"."""
        self.kind, self.discriminator = kind, discriminator
        self._entries: dict[str, Entry] = {}
        self._closed = False

    def add(self, entry: Entry) -> Entry:
        """Register `entry`. ValueError if its name is taken, its section does not carry it, or it comes too late."""
        field = entry.config.model_fields.get(self.discriminator)
        if field is None or field.default != entry.name:
            raise ValueError(
                f"{self.kind} {entry.name!r}: {entry.config.__name__} needs the field "
                f'{self.discriminator}: Literal["{entry.name}"] = "{entry.name}"'
            )
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is registered already")
        if self._closed:
            raise ValueError(
                f"{self.kind} {entry.name!r} comes too late: register before a configuration is read, at the top of "
                "the script that calls taixue.main()"
            )
        self._entries[entry.name] = entry
        return entry

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)

    def of(self, config: Section) -> Entry:
        """The record that the section `config` names."""
        return self._entries[getattr(config, self.discriminator)]

    def union(self) -> Any:
        """The type of a field that takes any registered section. Closes the registry."""
        self._closed = True
        sections = tuple(entry.config for entry in self)
        if len(sections) == 1:
            return sections[0]
        return Annotated[Union[sections], Field(discriminator=self.discriminator)]  # noqa: UP007
