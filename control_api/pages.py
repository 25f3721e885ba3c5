"""Small pages for people who follow a link in a mail: a title, a sentence, perhaps a button.

No scripts, cookies or redirects, and nothing of others is loaded. Pages that a link leads to change
nothing until the button is pressed, because scanners follow links.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from starlette.responses import Response

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def page(title: str, text: str, form: str = "", status: int = 200, *, code: str = "") -> Response:
    """Return a page.

    Args:
        title: its heading.
        text: the paragraph below.
        form: HTML as button() makes it, "" for none.
        status: HTTP status.
        code: something to copy, shown as it is; "" for nothing.
    """
    shown = f"<p><code>{escape(code)}</code></p>" if code else ""
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p>{shown}{form}</body></html>\n"
    )
    return Response(html, status_code=status, headers=_HEADERS, media_type="text/html")


def button(text: str, fields: Mapping[str, str]) -> str:
    """Return a form that posts these fields to where it stands when its button is pressed."""
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in fields.items()
    )
    return f'<form method="post">{hidden}<button type="submit">{escape(text)}</button></form>'


def lost() -> Response:
    """Return one answer for whatever is wrong with a link: it tells nothing."""
    text = "It may have been cut off on the way. Copy it whole from the mail."
    return page("This link does not work", text, "", 404)
