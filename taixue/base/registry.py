"""Open registries: what a configuration can name, Taixue's own and a user's alike.

A user's script registers its own records at its top and then calls `taixue.main()`. The unions of the schema are built
from the registries when pretrain/config/schema.py is first imported; from then on a registry is closed, so that every
rank and every reader of a configuration sees the same one. Nothing is ever imported because a configuration names it.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Generic, NoReturn, Protocol, TypeVar, Union

from pydantic import BeforeValidator, Field

from .section import Section


class Named(Protocol):
    """What a registry holds: a record with the name that configurations use."""

    @property
    def name(self) -> str: ...


class Configured(Named, Protocol):
    """A record with a section of the configuration."""

    @property
    def config(self) -> type[Section]: ...


Entry = TypeVar("Entry", bound=Named)
ConfiguredEntry = TypeVar("ConfiguredEntry", bound=Configured)


class Registry(Generic[Entry]):
    """Records of one type by name, in the order of their registration."""

    def __init__(self, what: str, record: type[Entry]) -> None:
        """what: for messages, e.g. "optimizer". record: the type `register` knows this registry by."""
        self.what = what
        self._entries: dict[str, Entry] = {}
        _REGISTRIES[record] = self

    def add(self, entry: Entry) -> Entry:
        """Register `entry`. ValueError if its name is taken."""
        if entry.name in self._entries:
            raise ValueError(f"{self.what} {entry.name!r} is registered already")
        self._entries[entry.name] = entry
        return entry

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def names(self) -> tuple[str, ...]:
        return tuple(self._entries)


class UnionRegistry(Registry[ConfiguredEntry]):
    """Records whose sections are the variants of one field of a schema, told apart by the key `discriminator`."""

    def __init__(
        self, what: str, record: type[ConfiguredEntry], discriminator: str, section: type[Section] = Section
    ) -> None:
        """section: what the sections of all records derive from."""
        super().__init__(what, record)
        self.discriminator, self._section = discriminator, section
        self._closed = False

    def add(self, entry: ConfiguredEntry) -> ConfiguredEntry:
        """Register `entry`. ValueError if its name is taken, its section is not as it should be, or it comes late."""
        who, config, key = f"{self.what} {entry.name!r}", entry.config, self.discriminator
        if self._closed:
            raise ValueError(
                f"{who} comes too late: register at the top of the script that calls taixue.main(), before "
                "anything that reads a configuration is imported"
            )
        if not issubclass(config, self._section):
            raise ValueError(f"{who}: {config.__name__} should derive from {self._section.__name__}")
        if key not in config.model_fields or config.model_fields[key].default != entry.name:
            raise ValueError(
                f'{who}: {config.__name__} needs the field {key}: Literal["{entry.name}"] = "{entry.name}"'
            )
        if required := [name for name, field in config.model_fields.items() if field.is_required()]:
            raise ValueError(
                f"{who}: {config.__name__}.{required[0]} needs a default: every key of a run has one"
            )
        return super().add(entry)

    def of(self, config: Section) -> ConfiguredEntry:
        """The record that the section `config` names."""
        return self[getattr(config, self.discriminator)]

    def union(self) -> Any:
        """The type of a field that takes any registered section. Closes the registry."""
        self._closed = True
        sections = tuple(entry.config for entry in self)
        if not sections:
            return Annotated[Section, BeforeValidator(self._refuse)]
        if len(sections) == 1:
            return sections[0]
        return Annotated[Union[sections], Field(discriminator=self.discriminator)]  # noqa: UP007

    def _refuse(self, value: Any) -> NoReturn:
        raise ValueError(f"no {self.what} is registered; run the script that calls taixue.register for it")


_REGISTRIES: dict[type[Any], Registry[Any]] = {}
_own: list[str] = []


def register(record: Any) -> None:
    """Put `record` into the registry of its type. TypeError for other types; ValueError: see `add`."""
    registry = _REGISTRIES.get(type(record))
    if registry is None:
        known = ", ".join(sorted(kind.__name__ for kind in _REGISTRIES))
        raise TypeError(
            f"{type(record).__name__} is no record that can be registered; imported so far: {known}"
        )
    registry.add(record)
    _own.append(record.name)


def extended() -> bool:
    """Whether a script has registered records of its own, which other processes must run before a registry closes."""
    return bool(_own)
