import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.pin import Pin, PinError, parse_pin
from mta.core.route import Credentials, TlsMode

GOOD = [
    ("smtp://mx.example", Pin("mx.example", 25, TlsMode.OPPORTUNISTIC)),
    ("smtp://mailhog:1025", Pin("mailhog", 1025, TlsMode.OPPORTUNISTIC)),
    ("smtp://[::1]:2525", Pin("::1", 2525, TlsMode.OPPORTUNISTIC)),
    ("smtps://MX.example", Pin("mx.example", 465, TlsMode.IMPLICIT)),
    (
        "smtp://user:secret@mx.example:587",
        Pin("mx.example", 587, TlsMode.VERIFIED, Credentials("user", "secret")),
    ),
    (
        "smtps://user:secret@127.0.0.1:4650",
        Pin("127.0.0.1", 4650, TlsMode.IMPLICIT, Credentials("user", "secret")),
    ),
    *(
        (
            f"smtp://u:p@{host}",
            Pin(host.strip("[]"), 25, TlsMode.OPPORTUNISTIC, Credentials("u", "p")),
        )
        for host in ("localhost", "127.0.0.1", "127.9.9.9", "[::1]")  # the password stays here
    ),
    (
        "smtp://us%40er:p%3A%2F%40%25%C3%A9@mx.example",
        Pin("mx.example", 25, TlsMode.VERIFIED, Credentials("us@er", "p:/@%é")),
    ),
    (
        "smtp://jo@x.example:a:b@mx.example",  # people write their address as it is
        Pin("mx.example", 25, TlsMode.VERIFIED, Credentials("jo@x.example", "a:b")),
    ),
]

BAD = [
    ("", "nothing"),
    ("mx.example:25", "no scheme"),
    ("http://mx.example", "another scheme"),
    ("smtp:mx.example", "no //"),
    ("smtp://", "no host"),
    ("smtp://mx.example/path", "a path"),
    ("smtp://mx.example?x", "a query"),
    ("smtp://mx.example:0", "port 0 cannot be connected to"),
    ("smtp://mx.example:99999", "no such port"),
    ("smtp://::1:25", "IPv6 without brackets"),
    ("smtp://user@mx.example", "no password"),
    ("smtp://user:@mx.example", "empty password"),
    ("smtp://:secret@mx.example", "empty user"),
    ("smtp://user:sec%ret@mx.example", "bare percent"),
    ("smtp://user:secret%FF@mx.example", "not UTF-8"),
    ("smtp://user:secret%00x@mx.example", "NUL would end the password in AUTH PLAIN"),
    ("smtp://user:secret\r\n@mx.example", "line end"),
]


@pytest.mark.parametrize(("text", "pin"), GOOD)
def test_pin(text: str, pin: Pin) -> None:
    assert parse_pin(text) == pin


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_refused(text: str, reason: str) -> None:
    with pytest.raises(PinError) as caught:
        parse_pin(text)
    assert "secret" not in str(caught.value), reason


def test_repr_shows_no_password() -> None:
    assert "secret" not in repr(parse_pin("smtp://user:secret@mx.example"))


@given(st.text(max_size=40), st.sampled_from(["", "smtp://", "smtps://", "smtp://u:p@"]))
def test_any_text_is_a_pin_or_our_error(text: str, start: str) -> None:
    try:
        pin = parse_pin(start + text)
    except PinError:
        return
    assert pin.host
    assert 1 <= pin.port <= 65_535
