"""Templates: subject, HTML and text in Liquid, filled with variables.

Templates are untrusted: loops, output, local variables, filters and sizes have bounds, nothing is
included from elsewhere, and values in HTML are escaped. A variable that is printed or looped over
must be there, or have a fallback (`{{ name | default: "you" }}`); in a condition it may be absent.

Not here: versions and publishing (storage/templates.py).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import ItemsView, Mapping, Sequence
from contextvars import ContextVar

from liquid import BoundTemplate, Environment, RenderContext, Token, Undefined
from liquid.exceptions import LiquidError, LoopIterationLimitError
from liquid.undefined import UNDEFINED

from mta.core import template_filters
from mta.core.frozen import frozen
from mta.core.html_text import text_of, with_inline_styles

MAX_SOURCE = 262_144
"""Characters of each part."""
MAX_SUBJECT = 998
MAX_TAGS = 1_000
"""Places in braces in each part."""
MAX_OUTPUT = 1_048_576
"""Bytes of each part when it is filled."""
MAX_LOOPS = 2_000
"""Turns of all loops inside one another."""
MAX_STEPS = 300_000
"""Turns of all loops of a rendering, each counted as often as its part has something to do: this
bounds the time of a part to a second or two."""
MAX_STYLING = 20_000_000
"""Selectors times elements, where styles are moved inline."""
MAX_LOCALS = 262_144
_MAX_STEPS, _MAX_NAME = 20, 100
"""Steps and characters of the path by which a variable that is missing is called."""
_TAGS_LEFT_OUT = ("include", "render", "tablerow", "cycle", "ifchanged", "doc", "liquid")
_WORK = re.compile(r"\{[{%]|\||\b(?:and|or)\b")

_missing: ContextVar[dict[str, None]] = ContextVar("missing")


class TemplateError(Exception):
    """A template that cannot be read or filled; the message is for its author."""


class MissingVariablesError(TemplateError):
    """Variables that the template prints were not given; `names` in order of their appearance."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"missing variables: {', '.join(names)}")
        self.names = names


@frozen
class Source:
    """What an author writes.

    Attributes:
        subject: Liquid, one line.
        html: Liquid, None when there is none; then there is text.
        text: Liquid; None: it is derived from the HTML.
        inline_css: whether style elements are applied to the elements that they are about.
    """

    subject: str
    html: str | None = None
    text: str | None = None
    inline_css: bool = False


@frozen
class Rendered:
    """A filled template; html is None when the template has none."""

    subject: str
    html: str | None
    text: str


class _Missing(Undefined):
    """Stands for a variable that is not there; notes when it is printed or looped over."""

    def _note(self) -> None:
        _missing.get()[str(self.name)] = None

    def __str__(self) -> str:
        self._note()
        return ""

    def items(self) -> ItemsView[object, object]:
        self._note()
        return {}.items()


def _name(path: Sequence[object]) -> str:
    """Return a path as templates write it, order.items[0].name, or its beginning."""
    rest = (f".{one}" if isinstance(one, str) else f"[{one}]" for one in path[1:_MAX_STEPS])
    return f"{path[0]}{''.join(rest)}"[:_MAX_NAME]


class _Counting(RenderContext):
    """Where a part is filled: bounds all loops together, as the library does nested ones."""

    steps = 0

    def get(
        self, path: list[object], *, token: Token | None, default: object = UNDEFINED
    ) -> object:
        """Return what a path leads to; what is not there is called by the whole path."""
        found = super().get(path, token=token, default=default)
        if isinstance(found, _Missing):
            found.name = _name(path)
        else:
            template_filters.count(found)
        return found

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Count the turns of a loop that is about to begin."""
        super().raise_for_loop_limit(length)
        part = self.template
        self.steps += length * (part.weight if isinstance(part, _Part) else 1)
        if self.steps > MAX_STEPS:
            raise LoopIterationLimitError("the loops have too much to do", token=None)


class _Part(BoundTemplate):
    """A part that was read; weight is about how much there is to do in it."""

    context_class = _Counting
    weight = 1


class _Html(Environment):
    """Where HTML is read, with the bounds on its filling."""

    loop_iteration_limit = MAX_LOOPS
    output_stream_limit = MAX_OUTPUT
    local_namespace_limit = MAX_LOCALS
    context_depth_limit = 20
    template_class = _Part
    block_nesting_limit = 20

    def __init__(self, *, autoescape: bool = True) -> None:
        super().__init__(autoescape=autoescape, undefined=_Missing)
        for name in _TAGS_LEFT_OUT:
            self.tags.pop(name, None)
        template_filters.limit(self)


class Compiled:
    """A template that was read; it can be filled any number of times."""

    def __init__(
        self,
        subject: BoundTemplate,
        html: BoundTemplate | None,
        text: BoundTemplate | None,
        *,
        inline_css: bool,
    ) -> None:
        self._subject = subject
        self._html = html
        self._text = text
        self._inline_css = inline_css

    def render(self, variables: Mapping[str, object]) -> Rendered:
        """Fill it.

        Raises:
            MissingVariablesError: naming all that are.
            TemplateError: it is too much work, or makes too much.
        """
        missing: dict[str, None] = {}
        _missing.set(missing)
        template_filters.work.set([0])
        subject = " ".join(_fill("subject", self._subject, variables).split())
        html = None if self._html is None else _fill("html", self._html, variables)
        text = None if self._text is None else _fill("text", self._text, variables)
        if missing:
            raise MissingVariablesError(tuple(missing))
        if len(subject) > MAX_SUBJECT:
            raise TemplateError(f"subject: more than {MAX_SUBJECT} characters")
        if html is not None and self._inline_css:
            html = _inline(html)
        return Rendered(subject, html, _text(html or "") if text is None else text)


def _text(html: str) -> str:
    try:
        return text_of(html)
    except ValueError as error:
        raise TemplateError(f"html: {error}") from error


def is_much_to_style(html: str) -> bool:
    """Tell whether moving the styles of a document inline would take too long."""
    return (html.count("{") + html.count(",")) * html.count("<") > MAX_STYLING


def _inline(html: str) -> str:
    if is_much_to_style(html):
        raise TemplateError("html: more styles and elements than can be moved inline")
    try:
        return with_inline_styles(html)
    except ValueError as error:
        raise TemplateError(f"html: {error}") from error


def _fill(part: str, template: BoundTemplate, variables: Mapping[str, object]) -> str:
    try:
        return template.render(variables)
    except LiquidError as error:
        raise TemplateError(f"{part}: {_message(error)}") from error
    except (ArithmeticError, LookupError, OSError, TypeError, ValueError, RecursionError) as error:
        raise TemplateError(f"{part}: a value does not fit: {str(error)[:200]}") from error


def _message(error: LiquidError) -> str:
    """Return an error in one line, with the line of the template where that is known."""
    text = str(error.args[0] if error.args else type(error).__name__).splitlines()[0][:200]
    position = error.context() if error.token is not None else None
    return f"line {position[0]}: {text}" if position else text


class Templates:
    """Reads templates, and keeps those used last so that each is read once."""

    def __init__(self, capacity: int = 64) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[Source, Compiled] = OrderedDict()
        self._html = _Html()
        self._plain = _Html(autoescape=False)

    def compiled(self, source: Source) -> Compiled:
        """Read a template.

        Raises:
            TemplateError: it is not Liquid, too large, or has neither HTML nor text.
        """
        found = self._kept.pop(source, None) or self._read(source)
        self._kept[source] = found
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return found

    def _read(self, source: Source) -> Compiled:
        if source.html is None and source.text is None:
            raise TemplateError("html: give html or text, or both")
        return Compiled(
            _parse("subject", source.subject, self._plain),
            None if source.html is None else _parse("html", source.html, self._html),
            None if source.text is None else _parse("text", source.text, self._plain),
            inline_css=source.inline_css,
        )


def _require_filters(part: str, text: str, read: BoundTemplate) -> None:
    """Refuse filters that there are not, which the library would not tell before filling."""
    for name, [first, *_] in read.analyze().filters.items():
        if name not in template_filters.ALLOWED:
            line = text.count("\n", 0, first.index) + 1
            raise TemplateError(f"{part}: line {line}: unknown filter '{name}'")


def _parse(part: str, text: str, environment: Environment) -> BoundTemplate:
    if len(text) > MAX_SOURCE:
        raise TemplateError(f"{part}: more than {MAX_SOURCE} characters")
    if text.count("{{") + text.count("{%") > MAX_TAGS:
        raise TemplateError(f"{part}: more than {MAX_TAGS} places in braces")
    try:
        read = environment.from_string(text)
    except LiquidError as error:
        raise TemplateError(f"{part}: {_message(error)}") from error
    except RecursionError as error:
        raise TemplateError(f"{part}: nested too deeply") from error
    _require_filters(part, text, read)
    if isinstance(read, _Part):
        read.weight = 1 + len(_WORK.findall(text))
    return read
