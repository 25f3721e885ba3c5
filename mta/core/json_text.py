"""JSON in and out, in one place (RFC 8259). Owner of msgspec.

Not here: what a value must look like; that is for each reader to check.
"""

from __future__ import annotations

from typing import cast

import msgspec

from mta.core.event import JsonValue

_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


class JsonError(ValueError):
    """The text is not JSON; the message says what is wrong and where."""


def encode(value: object) -> bytes:
    """Return compact UTF-8 JSON of JSON values, dataclasses and datetimes (as RFC 3339 text).

    Raises:
        ValueError: a string with a lone surrogate.
        TypeError: a value of another type.
    """
    return _encoder.encode(value)


def decode(text: bytes | str) -> JsonValue:
    """Return the value of JSON text.

    Raises:
        JsonError: malformed, or nested too deeply.
    """
    try:
        return cast("JsonValue", _decoder.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise JsonError(str(error)) from None
