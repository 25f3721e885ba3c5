"""Questions for the DNS and their answers as values: decisions ask, someone else looks up.

A decision that needs several lookups is a generator: it yields a Question, is sent the Answer, and
returns its result. So it stays pure, and tests feed it from a dict.

Not here: asking (mta/domain_lookup.py does, through mta/resolver.py).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Literal, TypeVar

from mta.core.frozen import frozen

T = TypeVar("T")

RecordType = Literal["A", "AAAA", "CNAME", "MX", "PTR", "TXT"]


@frozen
class Question:
    """What to ask: a name without a final dot, and the type of its records."""

    name: str
    type: RecordType


@frozen
class Records:
    """The records in text, none when there are none: the name may exist or not.

    A: "192.0.2.1"; AAAA: "2001:db8::1"; CNAME and PTR: a name; MX: "10 mx.example.com"; TXT: the
    strings of one record joined. Names are in lower case without a final dot.
    """

    values: tuple[str, ...] = ()


@frozen
class NoAnswer:
    """The DNS does not answer for now, which says nothing about the records."""

    error: str


Answer = Records | NoAnswer
Asking = Generator[Question, Answer, T]


def conclude(asking: Asking[T], answer: Callable[[Question], Answer]) -> T:
    """Return what a generator returns when its questions are answered by a function."""
    try:
        question = next(asking)
        while True:
            question = asking.send(answer(question))
    except StopIteration as end:
        result: T = end.value
        return result
