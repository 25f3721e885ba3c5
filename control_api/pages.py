"""Small pages for people who follow a link in a mail: a title, a sentence, perhaps a button.

No scripts, cookies or redirects, and nothing of others is loaded. Pages that a link leads to change
nothing until the button is pressed, because scanners follow links.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from starlette.responses import Response

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1.5rem}"
    "h1{font-size:1.5rem;line-height:1.25}"
    "code{overflow-wrap:anywhere}"
    "button{font:inherit;font-weight:600;padding:.6rem 1.4rem;border:0;border-radius:.4rem;"
    "background:#1a56c4;color:#fff;cursor:pointer}"
    "button:focus-visible{outline:3px solid currentcolor;outline-offset:2px}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_DIGEST}';"
    " form-action 'self'; frame-ancestors 'none'",
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
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
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
