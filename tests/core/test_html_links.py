"""The links of HTML as browsers see them."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.html_links import find_links


def urls(html: str) -> list[str]:
    return [link.url for link in find_links(html).links]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="https://a.example/">x</a>', ["https://a.example/"]),
        ("<A HREF='https://a.example/'>x</A>", ["https://a.example/"]),
        ("<a href=https://a.example/x>x</a>", ["https://a.example/x"]),
        ('<a class="b" title=">" href = "https://a.example/">', ["https://a.example/"]),
        ('<a href="https://a.example/?b=1&amp;c=2">', ["https://a.example/?b=1&c=2"]),
        ('<a href=" https://a.example/\n">', ["https://a.example/"]),
        ('<area href="https://a.example/">', ["https://a.example/"]),
        ('<a href="https://a.example/" href="https://b.example/">', ["https://a.example/"]),
        ('<a title="href=https://b.example/">', []),
        ('<a data-href="https://b.example/">', []),
        ('<abbr href="https://b.example/">', []),
        ('<link href="https://b.example/">', []),
        ('<!-- <a href="https://b.example/"> --><a href="/c">', ["/c"]),
        ('<!--[if mso]><a href="https://b.example/"><![endif]-->', []),
        ('<!--><a href="/c">', ["/c"]),
        ('<!-- never closed <a href="/b">', []),
        ('<style>a:after{content:"<a href=/b>"}</style><a href="/c">', ["/c"]),
        ("<script>'<a href=/b>'</script ><a href='/c'>", ["/c"]),
        ("<textarea><a href=/b></textarea><a href=/c>", ["/c"]),
        ("<title><a href=/b>", []),
        ("<p it's><a href=/c>", ["/c"]),
        ("1 < 2 <a href=/c>", ["/c"]),
        ("<a href=>x</a><a>y</a>", []),
        ("<a/href=/c>", ["/c"]),
    ],
)
def test_what_a_browser_would_follow(html: str, expected: list[str]) -> None:
    assert urls(html) == expected


def test_where_a_value_stands() -> None:
    html = '<p><a class=x href="https://a.example/?b&amp;c">x</a>'
    [link] = find_links(html).links
    assert html[link.start : link.end] == "https://a.example/?b&amp;c"
    assert link.is_quoted


@pytest.mark.parametrize("value", ["off", "FALSE", "no"])
def test_an_author_can_mark_a_link_off(value: str) -> None:
    [link] = find_links(f'<a data-track="{value}" href="/b">').links
    assert link.is_marked_off


@pytest.mark.parametrize(
    ("html", "before_end"),
    [
        ("<body>x</body></html>", "<body>x"),
        ("<body>x</BODY >", "<body>x"),
        ("<body>x<!-- </body> -->y</body>", "<body>x<!-- </body> -->y"),
        ("<p>x", "<p>x"),
    ],
)
def test_where_the_body_ends(html: str, before_end: str) -> None:
    assert html[: find_links(html).body_end] == before_end


class _Reference(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = next((value for name, value in attrs if name == "href"), None)
        if tag in {"a", "area"} and href:
            self.urls.append(href.strip())


_word = st.text("abc &<>/='\"é", max_size=8)
_element = st.one_of(
    st.builds(lambda url: f'<a href="https://h.example/{quote(url)}">', _word),
    st.builds(lambda text: f"<p title='{text.replace(chr(39), '')}'>", _word),
    st.builds(lambda text: f"<!-- {text.replace('>', '')} -->", _word),
    st.sampled_from(["</a>", "<br/>", "<b>", "text", "<style>a<b</style>", "1 < 2"]),
)


@given(st.lists(_element, max_size=12).map("".join))
def test_agrees_with_another_parser(html: str) -> None:
    reference = _Reference()
    reference.feed(html)
    reference.close()
    assert urls(html) == reference.urls


@given(st.text("<>a/ ='\"!-href\n", max_size=60))
def test_any_text_is_read(html: str) -> None:
    found = find_links(html)
    assert all(0 <= link.start < link.end <= len(html) for link in found.links)
    assert 0 <= found.body_end <= len(html)


@pytest.mark.parametrize(
    "text", ["<a ", "</a ", '<a b="', "<!--", "<a href='x", "<script>", "<a b=-"]
)
def test_a_tag_without_end_is_read_once(text: str) -> None:
    assert find_links("<a href=x></a>" + text * 100_000).links[1:] == ()
