"""A letter to many: what is done once gives what doing it for each would give."""

from __future__ import annotations

import pytest

from mta.core.html_text import text_of
from mta.core.letter import Filled, Letter
from mta.core.template import MissingVariablesError, Source, TemplateError, Templates
from mta.core.tracking import (
    NO_TRACKING,
    Hit,
    Tracking,
    fill,
    read_leave,
    read_open,
    track,
)

BASE = "https://t.example"
ENTROPY = bytes(range(24))
BOTH = Tracking(opens=True, clicks=True)
VARIABLES = {
    "name": "Ant & <b>",
    "items": [{"id": 1}, {"id": 2}],
    "vip": True,
    "url": "https://x.example/",
}

PLAIN = (
    "<html><body><p>Dear {{ name }},</p>{% if vip %}<a href='https://a.example/?a=1&amp;b=2'>A</a>"
    '{% endif %}<ul>{% for one in items %}<li>{{ one.id }} <a href="https://b.example/">B</a></li>'
    "{% endfor %}</ul></body></html>"
)
IN_A_LINK = '<body><a href="{{ url }}?to={{ name | url_encode }}">go</a> {{ name }}</body>'
IN_A_COMMENT = "<!-- {{ name }} --><p>{{ name }}</p><a href='https://a.example'>a</a>"
IN_A_STYLE = "<style>p {color: {{ name }}}</style><a href='https://a.example'>a</a><p>x</p>"
TWO_ENDS = "{% if vip %}<p>a</p></body>{% else %}<p>b</p></body>{% endif %}"
MARKUP_OF_BRACES = "{{ \"<a href='https://c.example'>c</a>\" }} <a href='https://a.example'>a</a>"
LESS_THAN = "<p>{% if 1 <b %}x{% endif %}</p><a href='https://a.example'>a</a>"


def letter(source: Source, tracking: Tracking = NO_TRACKING) -> Letter:
    return Letter(source, Templates(), tracking, base_url=BASE, entropy=ENTROPY)


def one_by_one(source: Source, tracking: Tracking) -> Filled:
    made = Templates().compiled(source).render(VARIABLES)
    if not tracking or made.html is None:
        return Filled(made)
    pieces, places = track(made.html, tracking, base_url=BASE, entropy=ENTROPY)
    return Filled(made, tuple(pieces), places)


@pytest.mark.parametrize(
    "html",
    [PLAIN, IN_A_LINK, IN_A_COMMENT, IN_A_STYLE, TWO_ENDS, MARKUP_OF_BRACES, LESS_THAN],
)
@pytest.mark.parametrize("tracking", [NO_TRACKING, BOTH, Tracking(opens=True)])
def test_text_and_tokens_are_those_of_a_single_mail(html: str, tracking: Tracking) -> None:
    source = Source("For {{ name }}", html)
    many, single = letter(source, tracking).fill(VARIABLES), one_by_one(source, tracking)

    assert many.rendered.subject == single.rendered.subject
    assert many.rendered.text == single.rendered.text
    assert len(many.pieces) % 2 == len(single.pieces) % 2
    assert _filled(many) == _filled(single)


def _filled(made: Filled) -> str:
    """Return the HTML with the targets in place of the places, whose numbers may differ."""
    assert made.places is None or made.places.nonce
    if made.places is None:
        return made.rendered.html or ""
    targets = made.places.targets
    numbers = [int(piece[-4:]) for piece in made.pieces[1::2]]
    shown = ["[open]" if number == 0 else f"[{targets[number - 1]}]" for number in numbers]
    return "".join(
        shown[index // 2] if index % 2 else piece for index, piece in enumerate(made.pieces)
    )


def test_a_loop_repeats_the_place_of_its_link() -> None:
    made = letter(Source("", PLAIN), BOTH).fill(VARIABLES)

    assert made.places is not None
    assert made.places.targets == ("https://a.example/?a=1&b=2", "https://b.example/")
    assert [piece[-4:] for piece in made.pieces[1::2]] == ["0001", "0002", "0002", "0000"]


def test_what_is_left_out_has_no_place() -> None:
    made = letter(Source("", PLAIN), BOTH).fill(VARIABLES | {"vip": False})

    assert "a.example" not in "".join(made.pieces)
    assert "Dear Ant &amp; &lt;b&gt;," in "".join(made.pieces)


def test_styles_are_moved_once() -> None:
    html = "<style>p {color: red}</style><p>{% if vip %}{{ name }}{% endif %}</p>"
    source = Source("", html, inline_css=True)

    made = letter(source, BOTH).fill(VARIABLES)

    assert '<p style="color: red' in "".join(made.pieces)
    assert made.rendered.text == "Ant & <b>"


def test_a_missing_variable_is_named() -> None:
    with pytest.raises(MissingVariablesError) as caught:
        letter(Source("Hi {{ who }}", "<p>{{ what }}</p>"), BOTH).fill(VARIABLES)
    assert caught.value.names == ("who", "what")


def test_a_text_without_html_is_not_tracked() -> None:
    made = letter(Source("", None, "Dear {{ name }}"), BOTH).fill(VARIABLES)
    assert made == Filled(made.rendered)
    assert made.rendered.text == "Dear Ant & <b>"


def test_what_is_no_template_is_refused() -> None:
    with pytest.raises(TemplateError):
        letter(Source("", "<p>{% if %}</p>"))


def test_the_text_of_plain_html_is_made_once() -> None:
    html = '<p>Dear {{ name | default: "you" }},</p><p>see <a href="https://a.example">it</a></p>'

    made = letter(Source("", html)).fill({"name": "Bee"})

    assert made.rendered.text == text_of(made.rendered.html or "")


LEAVE = "https://mail.example/u/"
SECRET = b"s" * 32


def leaving(source: Source, tracking: Tracking = NO_TRACKING) -> Filled:
    """Fill a letter of a server that has a page to unsubscribe at."""
    made = Letter(source, Templates(), tracking, base_url=BASE, entropy=ENTROPY, leave_url=LEAVE)
    return made.fill(VARIABLES)


@pytest.mark.parametrize("tracking", [NO_TRACKING, BOTH])
@pytest.mark.parametrize("name", ["", "{{ url }}"])
def test_a_link_to_leave_is_filled_and_not_tracked(tracking: Tracking, name: str) -> None:
    html = f'<a href="https://a.example/{name}">a</a><a href="{{{{ unsubscribe_url }}}}">leave</a>'
    made = leaving(Source("", html, "Leave: {{unsubscribe_url}} !"), tracking)

    assert made.places is not None
    body = "".join(made.pieces).encode()
    filled = fill(body, made.places, SECRET, tenant_id=3, entry=9).decode()
    token = filled.partition(LEAVE)[2][:35]
    assert read_leave(token, [SECRET]) == Hit(3, 9)
    assert read_open(token, [SECRET]) is None
    assert filled.count("/t/c/") == bool(tracking)
    text = fill("".join(made.text_pieces).encode(), made.places, SECRET, tenant_id=3, entry=9)
    assert text.decode() == f"Leave: {LEAVE}{token} !"
    assert len(made.text_pieces) == 3


def test_without_a_page_to_leave_at_the_link_is_missing() -> None:
    with pytest.raises(MissingVariablesError) as caught:
        letter(Source("", "<p>{{ unsubscribe_url }}</p>")).fill(VARIABLES)
    assert caught.value.names == ("unsubscribe_url",)


def test_the_subject_has_no_link_to_leave() -> None:
    with pytest.raises(MissingVariablesError):
        leaving(Source("{{ unsubscribe_url }}", "<p>x</p>"))
