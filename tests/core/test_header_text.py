import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.header_text import MAX_VALUE, decode_words, plain_text, read_mailboxes

WORDS = [
    (b"plain text", "plain text", "nothing encoded"),
    (b"", "", "nothing at all"),
    ("déjà".encode(), "déjà", "UTF-8 as it is (RFC 6532)"),
    (b"caf\xe9", "caf\ufffd", "another charset without a name"),
    (b"=?utf-8?q?caf=C3=A9_au_lait?=", "café au lait", "Q, underscore is space"),
    (b"=?UTF-8?B?Y2Fmw6k=?=", "café", "B"),
    (b"=?utf-8?b?Y2Fmw6k?=", "café", "B without padding"),
    (b"=?iso-8859-1*fr?q?caf=E9?=", "café", "language (RFC 2231 5)"),
    (b"=?iso-2022-jp?b?GyRCRnxLXBsoQg==?=", "日本", "a charset with states"),
    (b"a =?utf-8?q?b?= c", "a b c", "white space around stays"),
    (b"=?utf-8?q?a?= =?utf-8?q?b?=", "ab", "white space between goes"),
    (b"=?utf-8?q?a?= \t =?iso-8859-1?q?=E9?=", "aé", "between charsets too"),
    (b"=?utf-8?q?a?=b=?utf-8?q?c?=", "abc", "no white space, as some write it"),
    (b"=?utf-8?b?w6?= =?utf-8?b?k=?=", "\ufffd=?utf-8?b?k=?=", "cut inside base64"),
    (b"=?utf-8?q?=C3?= =?utf-8?q?=A9?=", "é", "a character cut in two"),
    (b"=?utf-8?q?two words?=", "two words", "a space inside, as some write it"),
    (b"=?utf-8?q?=C3=28?=", "\ufffd(", "broken UTF-8"),
    (b"=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x", "line ends inside become spaces"),
    (b"=?utf-8?q?=E2=80=A8?=", " ", "line separator too"),
    (b"=?utf-8?q?=00=1B[31m?=", "  [31m", "controls too"),
    (b"a\tb\x01", "a b ", "controls outside too"),
    (b"=?unknown?q?a?=", "=?unknown?q?a?=", "unknown charset"),
    (b"=?iso-8859-12?q?a=E9?=", "a\ufffd", "a charset that never was"),
    (b"=?unicode_escape?q?=5Cu0041?=", "=?unicode_escape?q?=5Cu0041?=", "codec, no charset"),
    (b"=?idna?q?xn--a?=", "=?idna?q?xn--a?=", "codec, no charset"),
    (b"=?utf-8?x?a?=", "=?utf-8?x?a?=", "unknown encoding"),
    (b"=?utf-8?b?a?=", "=?utf-8?b?a?=", "no base64"),
    (b"=?utf-8?q?a", "=?utf-8?q?a", "unfinished"),
]

MAILBOXES = [
    (b"", []),
    (b" , ,", []),
    (b"a@b.example", [("", "a@b.example")]),
    (b"<a@b.example>", [("", "a@b.example")]),
    (b"Jo Doe <a@b.example>", [("Jo Doe", "a@b.example")]),
    (b'"Doe, \\"Jo\\"" <a@b.example>', [('Doe, "Jo"', "a@b.example")]),
    (b'"=?utf-8?q?=C3=A9?=" <a@b.example>', [("é", "a@b.example")]),
    (b"=?utf-8?q?Doe=2C_Jo?= <a@b.example>", [("Doe, Jo", "a@b.example")]),
    (b"a@b.example (Jo, (I think) \\) )", [("", "a@b.example")]),
    (b"Jo (the (one)) <a@b.example>", [("Jo", "a@b.example")]),
    (b"a@b.example, c@d.example", [("", "a@b.example"), ("", "c@d.example")]),
    (b"Team: a@b.example, Jo <c@d.example>;", [("", "a@b.example"), ("Jo", "c@d.example")]),
    (b"undisclosed-recipients:;", []),
    (b'"a b"@c.example', [("", '"a b"@c.example')]),
    (b"a@[IPv6:::1], c@d.example", [("", "a@[IPv6:::1]"), ("", "c@d.example")]),
    (b"<a@b.example> <c@d.example>", [("", "")]),
    (b'"unclosed <a@b.example>, c@d.example', [("", '"unclosed <a@b.example>, c@d.example')]),
    (b"Jo <a@b.example", [("Jo", "a@b.example")]),
]


@pytest.mark.parametrize(("value", "text", "reason"), WORDS)
def test_decode_words(value: bytes, text: str, reason: str) -> None:
    assert decode_words(value) == text, reason


@pytest.mark.parametrize(("value", "mailboxes"), MAILBOXES)
def test_mailboxes(value: bytes, mailboxes: list[tuple[str, str]]) -> None:
    assert list(read_mailboxes(value)) == mailboxes


def test_limits() -> None:
    assert len(read_mailboxes(b"a@b.example," * 500)) == 100
    assert len(read_mailboxes(b"a@b.example," * 500, limit=7)) == 7
    assert len(decode_words(b"x" * 100_000)) == MAX_VALUE


PIECES = st.lists(
    st.sampled_from(
        [
            b"=?utf-8?q?",
            b"=?iso-2022-kr?b?",
            b"?=",
            b"=",
            b"?",
            b"=C3",
            b"_",
            b"\x1b",
            b"\xff",
            b'"',
            b"\\",
            b"(",
            b")",
            b"<",
            b">",
            b",",
            b":",
            b";",
            b"[",
            b"]",
            b"a@b.example",
            b" ",
        ]
    ),
    max_size=16,
).map(b"".join)


@given(st.one_of(st.binary(max_size=80), PIECES))
def test_any_bytes_make_printable_text(value: bytes) -> None:
    texts = [plain_text(value), decode_words(value)]
    texts += [part for mailbox in read_mailboxes(value) for part in mailbox]
    for text in texts:
        assert "\n" not in text
        assert "\r" not in text
        text.encode()


@given(st.sampled_from(["utf-8", "gb18030", "euc-jp", "iso-2022-jp", "big5"]), st.binary())
def test_any_octets_in_any_charset(charset: str, octets: bytes) -> None:
    word = f"=?{charset}?q?{''.join(f'={octet:02X}' for octet in octets)}?="
    decode_words(word.encode()).encode()


@pytest.mark.parametrize(
    "piece",
    [
        b"=?",
        b"=?a",
        b"=?utf-8?q?",
        b"=?utf-8?q?a?=",
        b"=?utf-8?q?=41?= ",
        b"=",
        b"?",
        b" ",
        b"=?utf-8?q?a?= =?koi8-r?q?a?=",
        b'"',
        b"(",
        b"()",
        b"<",
        b"[",
        b"\\",
        b",",
        b":",
        b"a,",
    ],
)
def test_repetition_is_linear(piece: bytes) -> None:
    decode_words(piece * 5000)
    read_mailboxes(piece * 5000)


@given(st.text("ab1 .'-_@+<>\",\t\\()é", max_size=24))
def test_simple_mailboxes_are_read_like_all_others(text: str) -> None:
    value = text.encode()
    # An empty member of the list says nothing, but keeps the list from being a simple mailbox.
    assert read_mailboxes(value) == read_mailboxes(b"," + value)


@pytest.mark.parametrize(
    "value", [b"a@b.example", b"<a@b.example>", b"Jo A. O'Neil  <a.b+c@d-e.example>", b"jo"]
)
def test_what_most_fields_hold_is_read_like_a_list(value: bytes) -> None:
    assert read_mailboxes(value) == read_mailboxes(b"," + value)
