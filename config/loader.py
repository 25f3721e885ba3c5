"""Fills dataclasses from TOML tables: the field's annotation says how its value is read.

A field of a dataclass type is a table of its own. `Annotated[T, reader]` names the reader; a bare
bool, str or timedelta has one already. What is missing keeps the dataclass's default; what is
unknown is an error that names its nearest neighbour. Nothing here knows a setting by name.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

from config import units
from mta.core.frozen import frozen

T = TypeVar("T")

_PLAIN_READERS: Mapping[object, units.Reader[object]] = {
    bool: units.boolean,
    str: units.text,
    timedelta: units.duration,
}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


class SettingsError(Exception):
    """The configuration cannot be used. One line: file, key, value, and what is allowed there."""


@frozen
class Entries:
    """Reads a table whose keys the operator chooses, such as [routing].

    Attributes:
        key: reads a key into its normal form; raises BadValueError.
        value: reads what stands beside it; raises BadValueError.
    """

    key: Callable[[str], str]
    value: units.Reader[object]


@frozen
class Overrides:
    """Readers for fields of a dataclass in mta/core, which cannot name them itself."""

    readers: Mapping[str, units.Reader[object]]


@frozen
class Place:
    """Where in which file we are reading.

    Attributes:
        source: the file's name, for messages.
        base: folder that relative paths start from.
        keys: the tables around, outermost first.
    """

    source: str
    base: Path
    keys: tuple[str, ...] = ()

    def inside(self, key: str) -> Place:
        """Return the place of one key of this table."""
        return Place(self.source, self.base, (*self.keys, key))

    @property
    def name(self) -> str:
        """The key in full, such as `delivery.retry.first`."""
        return ".".join(key if _BARE_KEY.fullmatch(key) else json.dumps(key) for key in self.keys)

    def error(self, problem: str) -> SettingsError:
        """Return the error that names this place."""
        return SettingsError(f"{self.source}: {self.name}{problem}")


def parse_toml(text: str, source: str) -> dict[str, object]:
    """Return the tables of TOML text.

    Raises:
        SettingsError: not TOML; names the line and the column.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise SettingsError(f"{source}: not valid TOML: {problem}") from None


def read_table(
    shape: type[T], table: object, place: Place, readers: Mapping[str, units.Reader[object]] = {}
) -> T:
    """Return a `shape` (a dataclass type) filled from a TOML table.

    Args:
        shape: the dataclass; every field needs a default.
        table: what the TOML parser gave.
        place: where the table stands.
        readers: readers for fields whose annotation names none.

    Raises:
        SettingsError: an unknown key or a value that its reader refuses.
    """
    if not isinstance(table, dict):
        raise place.error(f" = {_shown(table)}: must be a table, written [{place.name}]")
    hints = get_type_hints(shape, include_extras=True)
    known = [field.name for field in fields(cast("Any", shape))]
    for key in table:
        if key not in known:
            raise _unknown(key, known, place)
    values = {
        key: _read_field(hints[key], value, place.inside(key), readers.get(key))
        for key, value in table.items()
    }
    return shape(**values)


def _read_field(
    hint: object, value: object, place: Place, reader: units.Reader[object] | None
) -> object:
    extra: object = None
    if get_origin(hint) is Annotated:
        hint, extra, *_ = get_args(hint)
    if isinstance(extra, Entries):
        return _read_entries(extra, value, place)
    if isinstance(hint, type) and is_dataclass(hint):
        return read_table(hint, value, place, extra.readers if isinstance(extra, Overrides) else {})
    chosen = reader or extra or _PLAIN_READERS[hint]
    return _read_value(cast("units.Reader[object]", chosen), value, place)


def _read_value(reader: units.Reader[object], value: object, place: Place) -> object:
    try:
        result = reader(value)
    except units.BadValueError as error:
        raise place.error(f" = {_shown(value)}: {error}") from None
    return place.base / result if isinstance(result, Path) else result


def _read_entries(entries: Entries, table: object, place: Place) -> Mapping[str, object]:
    if not isinstance(table, dict):
        raise place.error(f" = {_shown(table)}: must be a table, written [{place.name}]")
    found: dict[str, object] = {}
    for given, value in table.items():
        here = place.inside(given)
        try:
            key = entries.key(given)
            item = entries.value(value)
        except units.BadValueError as error:
            raise here.error(f" = {_masked(value)}: {error}") from None
        if key in found:
            raise here.error(f": {key} is already there in another spelling; keep one of them")
        found[key] = item
    return found


def _unknown(key: str, known: list[str], place: Place) -> SettingsError:
    here = place.inside(key)
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    if close:
        return here.error(f": unknown setting; did you mean {place.inside(close[0]).name}?")
    table = f"[{place.name}]" if place.keys else "the file"
    return here.error(f": unknown setting; {table} knows {', '.join(known)}")


def _shown(value: object) -> str:
    """Return a value as TOML writes it, on one line and not longer than a glance."""
    shown = json.dumps(value, default=str)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def _masked(value: object) -> str:
    """Return a value that may hold a password: only what follows the last "@" is shown."""
    if not isinstance(value, str):
        return "***"
    _, at, tail = value.rpartition("@")
    return _shown(f"***@{tail}" if at else tail)
