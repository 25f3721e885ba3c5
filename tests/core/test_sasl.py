from __future__ import annotations

import pytest

from mta.core.esmtp import Refusal
from mta.core.sasl import MECHANISMS, Login, decode_initial, decode_response


def run(mechanism: str, initial: bytes | None, *responses: bytes) -> tuple[list[bytes], Login]:
    """Return the challenges and the login."""
    exchange = MECHANISMS[mechanism](initial)
    challenges = []
    to_send = iter(responses)
    try:
        challenge = next(exchange)
        while True:
            challenges.append(challenge)
            challenge = exchange.send(next(to_send))
    except StopIteration as done:
        return challenges, done.value


def test_plain() -> None:
    login = Login("user", b"pass:word")
    assert run("PLAIN", b"\0user\0pass:word") == ([], login)
    assert run("PLAIN", b"other\0user\0pass:word") == ([], login)
    assert run("PLAIN", None, b"\0user\0pass:word") == ([b""], login)


@pytest.mark.parametrize("response", [b"", b"user", b"user\0word", b"\0a\0b\0c", b"\0\xff\0word"])
def test_plain_refused(response: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        run("PLAIN", response)
    assert caught.value.reply.code == 501


def test_login() -> None:
    login = Login("user", b"word")
    assert run("LOGIN", None, b"user", b"word") == ([b"Username:", b"Password:"], login)
    assert run("LOGIN", b"user", b"word") == ([b"Password:"], login)


def test_responses() -> None:
    assert decode_response(b"AGEAYg==") == b"\0a\0b"
    assert decode_initial("=") == b""


@pytest.mark.parametrize("text", [b"*", b"=", b"A", b"AGEA Yg==", b"AGEAYg==\0", b"\xff"])
def test_responses_refused(text: bytes) -> None:
    with pytest.raises(Refusal):
        decode_response(text)


def test_no_password_is_shown() -> None:
    assert "secret" not in repr(Login("user", b"secret"))
