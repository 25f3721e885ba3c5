"""A letter to many: one template that is read, styled, put into text and tracked once, then filled.

For a single mail, styles, text and links are seen to when it has been filled. What comes out is the
same when that is done to the template, as long as all its places in braces come out whole, in
order, and stand between tags; a template that does not pass is filled first, as for a single mail.
The places of tracked links are then text of the template, and the filled HTML is cut at them.
`{{ unsubscribe_url }}` in HTML and text is such a place too.

Not here: Liquid and its bounds (template.py), what is put into links (tracking.py).
"""

from __future__ import annotations

import re
from dataclasses import replace

from mta.core.event import JsonValue
from mta.core.frozen import frozen
from mta.core.html_links import has_plain
from mta.core.html_text import text_of, with_inline_styles
from mta.core.template import Rendered, Source, Templates, is_much_to_style
from mta.core.tracking import Places, Tracking, cut, place_to_leave, places_of, track

_BRACES = re.compile(r"\{\{.*?(?:\}\}|\Z)|\{%.*?(?:%\}|\Z)", re.DOTALL)
_LEAVE = re.compile(r"\{\{-?\s*unsubscribe_url\s*-?\}\}")
_BODY_END = re.compile(r"</body[\s/>]", re.IGNORECASE)

Variables = dict[str, JsonValue]


@frozen
class Filled:
    """What one person gets.

    Attributes:
        rendered: subject, HTML and text.
        pieces: the HTML as core.tracking.track cuts it; () when it has no places.
        places: of HTML and text; None: there are none.
        text_pieces: the text likewise.
    """

    rendered: Rendered
    pieces: tuple[str, ...] = ()
    places: Places | None = None
    text_pieces: tuple[str, ...] = ()


class Letter:
    """A template on its way to many people."""

    def __init__(
        self,
        source: Source,
        kept: Templates,
        tracking: Tracking,
        *,
        base_url: str,
        entropy: bytes,
        leave_url: str = "",
    ) -> None:
        """Read it.

        Args:
            source: the template.
            kept: reads templates.
            tracking: what is noted of its readers; nothing where there is no HTML.
            base_url: where tracked links lead, as core.tracking.track takes it.
            entropy: at least 24 random bytes.
            leave_url: what a token is put behind to unsubscribe; "": there is no page for that, and
                unsubscribe_url is missing.

        Raises:
            TemplateError: it cannot be read.
        """
        kept.compiled(source)
        self._place = place_to_leave(entropy)
        if leave_url:
            source = _with_place(source, f"{leave_url}{self._place}")
        self._tracking = tracking if source.html is not None else Tracking()
        self._base_url = base_url
        self._entropy = entropy
        self._places: Places | None = None
        source = _with_text(_styled(source))
        if self._tracking and _is_plain(source.html or ""):
            pieces, self._places = self._track(source.html or "")
            source = replace(source, html="".join(pieces))
        self._compiled = kept.compiled(source)

    def _track(self, html: str) -> tuple[list[str], Places]:
        return track(html, self._tracking, base_url=self._base_url, entropy=self._entropy)

    def fill(self, variables: Variables) -> Filled:
        """Return what somebody with these variables gets.

        Raises:
            MissingVariablesError: naming those that are not there.
            TemplateError: it is too much work, or makes too much.
        """
        made = self._compiled.render(variables)
        pieces, places = self._placed(made.html)
        if self._place not in made.text:
            return Filled(made, pieces, places)
        places = places or places_of(self._entropy)
        return Filled(made, pieces, places, tuple(cut(made.text, places)))

    def _placed(self, html: str | None) -> tuple[tuple[str, ...], Places | None]:
        """Return the HTML in pieces, and its places, where it has any."""
        if html is None:
            return (), None
        if self._tracking and self._places is None:
            pieces, places = self._track(html)
            html = "".join(pieces)
        elif self._places is not None:
            places = self._places
        elif self._place in html:
            places = places_of(self._entropy)
        else:
            return (), None
        return tuple(cut(html, places)), places


def _with_place(source: Source, url: str) -> Source:
    """Return the source with a link of ours where it asks for one."""
    html, text = (
        None if part is None else _LEAVE.sub(lambda _: url, part)
        for part in (source.html, source.text)
    )
    return replace(source, html=html, text=text)


def _styled(source: Source) -> Source:
    """Return the source with its styles moved inline, where its braces survive that."""
    if not source.inline_css or source.html is None or is_much_to_style(source.html):
        return source
    try:
        styled = with_inline_styles(source.html)
    except ValueError:
        return source
    if _BRACES.findall(styled) != _BRACES.findall(source.html):
        return source
    return replace(source, html=styled, inline_css=False)


def _with_text(source: Source) -> Source:
    """Return the source with a text part made of its HTML, where its braces survive that.

    Not where there are tags: around them the blank lines of the template would stay.
    """
    if source.text is not None or source.html is None or source.inline_css:
        return source
    if "{%" in source.html:
        return source
    text = text_of(source.html)
    if _BRACES.findall(text) != _BRACES.findall(source.html):
        return source
    return replace(source, text=text)


def _is_plain(html: str) -> bool:
    """Tell whether links are found in a template as in what is made of it."""
    spans = [match.span() for match in _BRACES.finditer(html)]
    return has_plain(html, spans) and len(_BODY_END.findall(html)) <= 1
