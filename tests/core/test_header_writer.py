"""Header fields from untrusted text: forms, folding, and the guard behind all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import Address, parse_address
from mta.core.header_writer import (
    MAX_LINE,
    ComposeError,
    Mailbox,
    check_text,
    filename_parameters,
    header_block,
    mailboxes,
    parameters,
    plain,
    unstructured,
)

ANT = parse_address("ant@example.com")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Hello", " Hello"),
        ("", ""),
        ("   ", ""),
        (" outer  and  inner  spaces ", " outer  and  inner  spaces"),
        ("Lunch at Zoë today", " Lunch at =?utf-8?q?Zo=C3=AB?= today"),
        (
            "é and many ascii words and è then",
            " =?utf-8?q?=C3=A9_and_many_ascii_words_and_=C3=A8?= then",
        ),
        ("a  é", " a =?utf-8?b?IMOp?="),
        ("=?utf-8?q?a=0ABcc:_b?=", " =?utf-8?b?PT91dGYtOD9xP2E9MEFCY2M6X2I/PQ==?="),
        ("50 % off {0.__class__} %s {{7*7}}", " 50 % off {0.__class__} %s {{7*7}}"),
    ],
)
def test_unstructured(text: str, value: str) -> None:
    assert "".join(unstructured(text)) == value


def test_a_word_too_long_for_a_line_is_encoded() -> None:
    pieces = unstructured("a " + "b" * 2000)
    assert pieces[0] == " a"
    assert all(piece.startswith(" =?utf-8?q?bbb") and len(piece) <= 65 for piece in pieces[1:])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("", " ant@example.com"),
        ("  ", " ant@example.com"),
        ("Ant", " Ant <ant@example.com>"),
        ("Ant de Vries", " Ant de Vries <ant@example.com>"),
        ("Ant  de Vries", ' "Ant  de Vries" <ant@example.com>'),
        ("A. Vries", ' "A. Vries" <ant@example.com>'),
        ("Vries, Ant", ' "Vries, Ant" <ant@example.com>'),
        ('Ant "the" \\Best', ' "Ant \\"the\\" \\\\Best" <ant@example.com>'),
        ("Ant <elk@evil.example>", ' "Ant <elk@evil.example>" <ant@example.com>'),
        ("Änn", " =?utf-8?q?=C3=84nn?= <ant@example.com>"),
        ("=?x?q?y?=", " =?utf-8?b?PT94P3E/eT89?= <ant@example.com>"),
    ],
)
def test_mailbox(name: str, value: str) -> None:
    assert "".join(mailboxes([Mailbox(name, ANT)])) == value


def test_a_long_name_is_encoded_words() -> None:
    *words, address = mailboxes([Mailbox("Ant " * 40, ANT)])
    assert address == " <ant@example.com>"
    assert all(word.startswith(" =?utf-8?q?") and len(word) <= 65 for word in words)


def test_address_list_is_folded_between_addresses() -> None:
    boxes = [Mailbox("", parse_address(f"recipient-{number}@example.com")) for number in range(5)]
    assert header_block([("To", mailboxes(boxes))]) == (
        b"To: recipient-0@example.com, recipient-1@example.com,\r\n"
        b" recipient-2@example.com, recipient-3@example.com, recipient-4@example.com\r\n"
    )


def test_local_parts_keep_their_quotes_and_their_script() -> None:
    boxes = [
        Mailbox("", parse_address('"a b"@example.com')),
        Mailbox("G", parse_address("почта@exämple.com")),
    ]
    pieces = mailboxes(boxes)
    assert pieces == [' "a b"@example.com,', " G", " <почта@xn--exmple-cua.com>"]


@pytest.mark.parametrize(
    ("filename", "items"),
    [
        ("report.pdf", ['filename="report.pdf"']),
        ("my report (1).pdf", ['filename="my report (1).pdf"']),
        ('a"b\\c.txt', ["filename*=utf-8''a%22b%5Cc.txt", 'filename="a_b_c.txt"']),
        ("Résumé.pdf", ["filename*=utf-8''R%C3%A9sum%C3%A9.pdf", 'filename="Resume.pdf"']),
        ("е\u0301.txt", ["filename*=utf-8''%D0%B5%CC%81.txt", 'filename="__.txt"']),
        ("50%.txt", ["filename*=utf-8''50%25.txt", 'filename="50_.txt"']),
        (
            "日本" * 5,
            [
                "filename*0*=utf-8''%E6%97%A5%E6%9C%AC%E6%97%A5%E6%9C%AC%E6%97%A5",
                "filename*1*=%E6%9C%AC%E6%97%A5%E6%9C%AC%E6%97%A5%E6%9C%AC",
                'filename="__________"',
            ],
        ),
    ],
)
def test_filename_parameters(filename: str, items: list[str]) -> None:
    assert filename_parameters(filename) == items


def test_parameters() -> None:
    assert parameters("text/plain", []) == [" text/plain"]
    assert parameters("a/b", ['c="d e"', "f=g"]) == [" a/b;", ' c="d e";', " f=g"]


def test_a_piece_longer_than_a_line_stays_behind_the_name() -> None:
    block = header_block([("X-Url", [" https://example.com/" + "a" * 100, " b"])])
    assert block == b"X-Url: https://example.com/" + b"a" * 100 + b"\r\n b\r\n"


def test_others_longer_than_a_line_have_one_each() -> None:
    ids = [f"<{'a' * 64}-{number:02}@mail.example.com>" for number in range(20)]
    block = header_block([("References", plain(" ".join(["<1@b.example>", *ids])))])
    assert block.decode().split("\r\n") == [
        "References: <1@b.example>",
        *(f" {i}" for i in ids),
        "",
    ]


@given(st.lists(st.integers(1, 899)))
def test_text_of_any_length_has_lines_that_are_allowed(lengths: list[int]) -> None:
    words = ["x" * length for length in lengths]
    block = header_block([("X", plain(" ".join(words)))])
    assert block.replace(b"\r\n", b"") == " ".join(["X:", *words]).encode()
    assert max(map(len, block.split(b"\r\n"))) <= MAX_LINE


def test_an_empty_value() -> None:
    assert header_block([("Subject", []), ("X", [" y"])]) == b"Subject:\r\nX: y\r\n"
    assert header_block([]) == b""


@pytest.mark.parametrize(
    "character",
    [
        *map(chr, range(32)),
        *map(chr, range(0x7F, 0xA0)),
        "\u2028",
        "\u2029",
        chr(0xD800),
        chr(0xDFFF),
    ],
    ids=lambda character: f"U+{ord(character):04X}",
)
def test_h04_text_that_has_no_place_in_a_line(character: str) -> None:
    with pytest.raises(ComposeError, match=f"^subject: .* U\\+{ord(character):04X}$") as caught:
        check_text(f"a{character}b", "subject")
    assert caught.value.field == "subject"


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("Subject", [" a\r\nBcc: elk@evil.example"]),
        ("Subject", [" a\r\n\r\nbody"]),
        ("Subject", [" a\nb"]),
        ("Subject", [" a\rb"]),
        ("Subject", [" a\0b"]),
        ("Subject", [" a\tb"]),
        ("Subject", [" a\r\n \r\n b"]),
        ("Subject", [" a\r\nb"]),
        ("Subject: a\r\nBcc", [" b"]),
        ("Sub ject", [" a"]),
        (" Subject", [" a\r\nBcc: elk@evil.example"]),
        ("", [" a"]),
        ("Ünicode", [" a"]),
        ("X", [" " + "a" * 996]),
    ],
)
def test_the_guard_lets_nothing_through(name: str, pieces: list[str]) -> None:
    with pytest.raises(ComposeError):
        header_block([("From", [" ant@example.com"]), (name, pieces), ("To", [" b@c.example"])])


def test_the_guard_stands_behind_addresses() -> None:
    forged = Address("a@b.example>\r\nBcc: elk", "evil.example")
    with pytest.raises(ComposeError):
        header_block([("To", mailboxes([Mailbox("Ant", forged)]))])


@given(st.text(), st.text())
def test_whatever_the_text_there_is_one_field_or_an_error(name: str, text: str) -> None:
    try:
        block = header_block([(name, [f" {text}"])])
    except (ComposeError, UnicodeEncodeError):
        return
    lines = block.split(b"\r\n")
    assert lines.pop() == b""
    assert lines[0].startswith(name.encode() + b":")
    assert all(line.startswith(b" ") for line in lines[1:])
