"""Lists of contacts as CSV (RFC 4180, and what spreadsheets make of it): which cell means what.

    codec_of, delimiter_of    how the text is to be read, told or found out
    targets_of                what each column is: an address, a name, a property, a field, nothing
    object_of                 a row as the object that the API takes for one contact

Not here: files, and judging the values: a row is judged like an object that came as JSON.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence

from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.suppression_csv import unguarded

MAX_COLUMNS = 500
MAX_HEADER = 65_536
"""Bytes in which the header must end."""
CODECS: Mapping[str, str] = {
    "utf-8": "utf-8-sig",
    "utf-8-sig": "utf-8-sig",
    "utf-16": "utf-16",
    "latin-1": "latin-1",
    "iso-8859-1": "latin-1",
    "cp1252": "cp1252",
    "windows-1252": "cp1252",
}
"""What an encoding may be called -> Python's name; all take text with a byte order mark."""
DELIMITERS: Mapping[str, str] = {
    **{char: char for char in ",;\t|"},
    "comma": ",",
    "semicolon": ";",
    "tab": "\t",
    "pipe": "|",
}
EMAIL, NAME, FIRST_NAME, LAST_NAME = "email", "name", "first_name", "last_name"
TAGS, STATUS = "tags", "status"
PROPERTY = "properties."
FIELD = "fields."

_WORDS = (EMAIL, NAME, FIRST_NAME, LAST_NAME, TAGS, STATUS)
_USUAL: Mapping[str, str] = {
    **{word: word for word in _WORDS},
    **dict.fromkeys(("e-mail", "email_address", "e-mail_address", "mail"), EMAIL),
    "full_name": NAME,
    "firstname": FIRST_NAME,
    "lastname": LAST_NAME,
    "surname": LAST_NAME,
    "tag": TAGS,
}
_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BETWEEN_TAGS = re.compile(r"[,;|]")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")


class LayoutError(ValueError):
    """A file or a mapping that cannot be read so.

    Attributes:
        field: what is wrong: "file", "mapping", "encoding", "delimiter".
        code: a word.
    """

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


@frozen
class Layout:
    """How a file is to be read.

    Attributes:
        codec: Python's name of its encoding.
        delimiter: between two cells.
        targets: of each column: one of the words of this module, PROPERTY or FIELD and a name, or
            "" for a column that is left out.
    """

    codec: str
    delimiter: str
    targets: tuple[str, ...]


def codec_of(name: str, head: bytes) -> str:
    """Return the codec for an encoding; for "" what the first bytes tell, UTF-8 unless they do.

    Raises:
        LayoutError: another encoding.
    """
    if not name:
        return "utf-16" if head.startswith(_MARKS) else "utf-8-sig"
    codec = CODECS.get(name.lower())
    if codec is None:
        known = ", ".join(CODECS)
        raise LayoutError("encoding", "invalid_value", f"Expected one of {known}.")
    return codec


def delimiter_of(name: str, header: str) -> str:
    """Return the delimiter of that name; for "" the one that the header has most, or a comma.

    Raises:
        LayoutError: another delimiter.
    """
    if name:
        found = DELIMITERS.get(name)
        if found is None:
            message = "Expected comma, semicolon, tab or pipe."
            raise LayoutError("delimiter", "invalid_value", message)
        return found
    bare = re.sub(r'"[^"]*"', "", header)
    return max(",;\t|", key=bare.count)


def targets_of(
    header: Sequence[str], mapping: Mapping[str, str], tags: Sequence[str]
) -> tuple[str, ...]:
    """Return what each column is.

    A column is what the mapping says; otherwise what its name says: a field of the audience, or one
    of the usual words; otherwise it is left out. Upper and lower case, spaces and underscores are
    the same.

    Args:
        header: names of the columns.
        mapping: name of a column -> "email", "name", "properties.city", the tag of a field, or "".
        tags: of the audience's fields.

    Raises:
        LayoutError: an unknown column or target, one that is there twice, or no address.
    """
    if len(header) > MAX_COLUMNS:
        message = f"At most {MAX_COLUMNS} columns are allowed."
        raise LayoutError("file", "too_many", message)
    fields = {_plain(tag): FIELD + tag for tag in tags}
    said = {_plain(column): _target(wish, fields) for column, wish in mapping.items()}
    names = [_plain(unguarded(cell)) for cell in header]
    if strangers := [column for column in mapping if _plain(column) not in names]:
        message = f"The file has no column {_shown(strangers[0])}."
        raise LayoutError("mapping", "unknown_column", message)
    found = tuple(
        said[name] if name in said else fields.get(name) or _USUAL.get(name, "") for name in names
    )
    used = [target for target in found if target]
    if doubled := [target for target in used if used.count(target) > 1]:
        message = f"Two columns are {doubled[0]}; leave one out with the mapping."
        raise LayoutError("mapping", "duplicate_column", message)
    if EMAIL not in found:
        message = "No column is called email; say which one it is with the mapping."
        raise LayoutError("file", "no_email_column", message)
    return found


def _target(wish: str, fields: Mapping[str, str]) -> str:
    """Return the target that a mapping names."""
    wish = wish.strip()
    if not wish or (wish.startswith(PROPERTY) and len(wish) > len(PROPERTY)):
        return wish
    found = fields.get(_plain(wish.removeprefix(FIELD))) or _USUAL.get(_plain(wish))
    if found is None:
        message = f"The audience has no field {_shown(wish)}."
        raise LayoutError("mapping", "unknown_field", message)
    return found


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", "_", name.strip().lower())


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text[:100])


def object_of(
    cells: Sequence[str], targets: Sequence[str], numbers: frozenset[str]
) -> dict[str, JsonValue]:
    """Return a row as an object; cells that are empty, or in excess of the columns, are left out.

    Args:
        cells: of the row.
        targets: of the columns.
        numbers: tags of fields whose values are numbers.
    """
    found: dict[str, JsonValue] = {}
    properties: dict[str, JsonValue] = {}
    values: dict[str, JsonValue] = {}
    first = last = ""
    for target, cell in zip(targets, cells, strict=False):
        text = cell.strip()
        if not target or not text:
            continue
        if text[0] == "'":
            text = unguarded(text)
        if target.startswith(FIELD):
            tag = target[len(FIELD) :]
            values[tag] = _number(text) if tag in numbers else text
        elif target.startswith(PROPERTY):
            properties[target[len(PROPERTY) :]] = text
        elif target == TAGS:
            found[TAGS] = [tag.strip() for tag in _BETWEEN_TAGS.split(text) if tag.strip()]
        elif target == FIRST_NAME:
            first = text
        elif target == LAST_NAME:
            last = text
        else:
            found[target] = text.lower() if target == STATUS else text
    if first or last:
        found.setdefault(NAME, f"{first} {last}".strip())
    if properties:
        found["properties"] = properties
    if values:
        found["fields"] = values
    return found


def _number(text: str) -> JsonValue:
    """Return the number in a cell; the text when it is none, which the field then refuses."""
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)
