"""What may be done to values in templates: filters, with bounds on what they take and make.

Templates are written by strangers. A filter that multiplies text (replace, join) asks first how
much it would make; numbers are small enough to be written out; nothing turns escaping off. Ranges
are as short as lists: the library goes through them item by item, in one go that nothing else in
the process gets past.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from liquid import Environment, RenderContext
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.exceptions import ResourceLimitError

_NAMES = """
abs append at_least at_most capitalize ceil date default divided_by downcase escape
escape_once first floor join last lstrip minus modulo newline_to_br plus prepend remove
replace replace_first round rstrip size slice sort split squish strip strip_html
strip_newlines times truncate truncatewords upcase url_encode where
"""
ALLOWED = frozenset(_NAMES.split())
MAX_TEXT = 65_536
"""Characters that a filter takes or makes."""
MAX_ITEMS = 2_000
"""Of a list that a filter takes."""
MAX_WORK = 8_000_000
"""Characters and items of all variables and filters of one rendering together, each as often as it
is used."""

_NUMBER = re.compile(r"\s*[+-]?\d{1,15}(\.\d{1,15})?\s*", re.ASCII)
_FORMAT = re.compile(r"([^%]|%-?[A-Za-z%])*")
_NUMERIC = "abs at_least at_most ceil divided_by floor minus modulo plus round times"
_ARITHMETIC = frozenset(_NUMERIC.split())
_MAX_NUMBER = 10**15

work: ContextVar[list[int]] = ContextVar("work")
"""What the rendering under way has taken, in one item."""


def limit(environment: Environment) -> None:
    """Leave an environment only the filters that are ALLOWED, and put bounds on those."""
    kept = {name: one for name, one in environment.filters.items() if name in ALLOWED}
    environment.filters.clear()
    environment.filters.update({name: _bounded(name, one) for name, one in kept.items()})


def _range(expression: RangeLiteral, context: RenderContext) -> range:
    """Return (a..b), unless it is too long."""
    made = _library_range(expression, context)
    if made.stop - made.start > MAX_ITEMS:
        raise ResourceLimitError("a range is too long", token=expression.token)
    _weigh(made)
    return made


# The library has no bound for these, and no place to put one but the class itself.
_library_range = RangeLiteral.evaluate
RangeLiteral.evaluate = _range  # type: ignore[method-assign, assignment]


def _bounded(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    check = _CHECKS.get(name)

    def outer(*values: Any, **more: Any) -> Any:
        for value in (*values, *more.values()):
            _weigh(value)
            if name in _ARITHMETIC:
                _require_number(value)
        if check is not None:
            check(*values)
        made = inner(*values, **more)
        _weigh(made)
        return made

    # What the library looks for to hand over the environment, and nothing else of the function.
    outer.__dict__.update(inner.__dict__)
    return outer


def count(value: object) -> int:
    """Count a value that the rendering under way takes in hand; return its length, 0 for none.

    Raises:
        ResourceLimitError: it is one too many.
    """
    if not isinstance(value, (str, list, tuple, range, Mapping)):
        return 0
    size, spent = len(value), work.get()
    spent[0] += size
    if spent[0] > MAX_WORK:
        raise ResourceLimitError("there is too much to do", token=None)
    return size


def _weigh(value: object) -> None:
    if count(value) > (MAX_TEXT if isinstance(value, str) else MAX_ITEMS):
        raise ResourceLimitError("a value is too long", token=None)


def _require_number(value: Any) -> None:
    is_large = isinstance(value, (int, float)) and not abs(value) < _MAX_NUMBER
    if is_large or (isinstance(value, str) and value.strip() and not _NUMBER.fullmatch(value)):
        raise ResourceLimitError("expected a number below 10^15", token=None)


def _check_replace(value: Any, old: Any = "", new: Any = "", *_: Any) -> None:
    _require_room(len(str(value)) + (str(value).count(str(old)) + 1) * len(str(new)))


def _check_join(values: Any, separator: Any = " ", *_: Any) -> None:
    if isinstance(values, _LISTS):
        _require_room(len(values) * len(str(separator)) + sum(len(str(one)) for one in values))


def _check_date(_value: Any, wanted: Any = "", *_: Any) -> None:
    if len(str(wanted)) > 100 or not _FORMAT.fullmatch(str(wanted)):
        raise ResourceLimitError("a date's format has a field with a width", token=None)


def _require_room(size: int) -> None:
    if size > MAX_TEXT:
        raise ResourceLimitError("a value becomes too long", token=None)


_LISTS = (list, tuple, range)
_CHECKS: Mapping[str, Callable[..., None]] = {
    "replace": _check_replace,
    "replace_first": _check_replace,
    "join": _check_join,
    "date": _check_date,
}
