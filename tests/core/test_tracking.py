"""Tracked HTML, its placeholders and its tokens."""

from __future__ import annotations

import base64
import quopri
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.mime_parts import pieced_part
from mta.core.tracking import TOKEN_SIZE, Hit, Tracking, fill, read_click, read_open, track

BASE = "https://click.shop.example"
SECRET = b"s" * 32
BOTH = Tracking(opens=True, clicks=True)
HTML = (
    '<html><body><p>Grüße</p><a href="https://shop.example/?a=1&amp;b=2">buy</a>'
    "<a href=/relative>x</a><a href=mailto:ant@shop.example>y</a>"
    f'<a href="{BASE}/u/abc">out</a><a data-track=off href="https://shop.example/">z</a></body></html>'
)


def delivered(html: str, tracking: Tracking = BOTH, entry: int = 7) -> str:
    """Return the HTML that one recipient gets."""
    pieces, places = track(html, tracking, base_url=BASE, entropy=bytes(range(24)))
    body = pieced_part("html", pieces, "html").body
    filled = fill(body, places, SECRET, tenant_id=3, entry=entry)
    assert len(filled) == len(body)
    assert all(len(line) <= 76 for line in filled.split(b"\r\n"))
    return quopri.decodestring(filled).decode().removesuffix("\r\n")


def test_nothing_else_changes() -> None:
    html = delivered(HTML)
    html = re.sub(r'<img src="[^"]*" width="1" height="1" alt="" style="border:0">', "", html)
    html = re.sub(rf'{BASE}/t/c/[^"]*', "https://shop.example/?a=1&amp;b=2", html)
    assert html == HTML


def test_a_click_names_its_recipient_and_leads_where_it_led() -> None:
    html = delivered(HTML)
    [(token, target)] = re.findall(rf'"{BASE}/t/c/([^/]*)/([^"]*)"', html)
    assert read_click(token, target, [SECRET]) == Hit(3, 7, "https://shop.example/?a=1&b=2")


def test_an_opening_names_its_recipient() -> None:
    [token] = re.findall(rf'"{BASE}/t/o/([^"]*)\.gif"', delivered(HTML))
    assert read_open(token, [b"new" * 8, SECRET]) == Hit(3, 7)
    assert delivered(HTML).endswith("</body></html>")


def test_each_recipient_has_tokens_of_its_own() -> None:
    assert delivered(HTML, entry=7) != delivered(HTML, entry=8)


@pytest.mark.parametrize(
    ("tracking", "opens", "clicks"),
    [(Tracking(opens=True), 1, 0), (Tracking(clicks=True), 0, 1), (Tracking(), 0, 0)],
)
def test_only_what_was_asked_for(tracking: Tracking, opens: int, clicks: int) -> None:
    html = delivered(HTML, tracking)
    assert (html.count("/t/o/"), html.count("/t/c/")) == (opens, clicks)
    assert bool(tracking) == bool(opens or clicks)


def test_an_unquoted_address_gets_quotes() -> None:
    html = delivered("<a href=https://shop.example/x>y</a>", Tracking(clicks=True))
    assert re.fullmatch(r'<a href="[^"]*">y</a>', html)


@pytest.mark.parametrize("target", ["https://evil.example/", ""])
def test_no_open_redirect(target: str) -> None:
    [(token, _)] = re.findall(rf'"{BASE}/t/c/([^/]*)/([^"]*)"', delivered(HTML))
    other = base64.urlsafe_b64encode(target.encode()).decode().rstrip("=")
    assert read_click(token, other, [SECRET]) is None


@given(st.text("AQz09-_=!", max_size=40))
def test_no_text_is_taken_for_a_token(text: str) -> None:
    assert read_open(text, [SECRET]) is None
    assert read_click(text, text, [SECRET]) is None


def test_an_opening_is_no_click() -> None:
    [token] = re.findall(rf'"{BASE}/t/o/([^"]*)\.gif"', delivered(HTML))
    assert len(token) == TOKEN_SIZE
    assert read_click(token, "", [SECRET]) is None


@given(st.text(max_size=300).filter(lambda text: text.isprintable()))
def test_any_text_between_links_survives(text: str) -> None:
    html = f'{text}<a href="https://shop.example/">x</a>{text}'
    if "<" in text:
        return
    assert (
        re.sub(
            rf'{BASE}/t/c/[^"]*', "https://shop.example/", delivered(html, Tracking(clicks=True))
        )
        == html
    )
