"""Values: dataclasses that nobody changes, which is for the type checker to see.

`dataclass(frozen=True)` sees to it at run time, where each field of each new object costs a call:
4 % of all that a message takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar, cast, dataclass_transform

C = TypeVar("C", bound=type)


@dataclass_transform(frozen_default=True)
def frozen(kind: C) -> C:
    """Make a class a dataclass with slots, equal and hashed by its fields, and read-only to mypy.

    Equal values must stay equal and keep their hash: whoever gets round the type checker breaks it.
    """
    return cast("C", dataclass(slots=True, unsafe_hash=True)(kind))
