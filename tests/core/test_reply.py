import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.reply import MAX_TEXT, Reply


@pytest.mark.parametrize(
    ("code", "text", "expected", "reason"),
    [
        (250, "", Reply(250, "", ""), "no text"),
        (250, "Ok", Reply(250, "", "Ok"), "no enhanced status"),
        (250, "2.0.0 Ok", Reply(250, "2.0.0", "Ok"), "enhanced status"),
        (250, "  2.0.0  Ok ", Reply(250, "2.0.0", "Ok"), "spaces around"),
        (550, "5.1.1", Reply(550, "5.1.1", ""), "nothing else"),
        (550, "5.1.1  No\n5.1.1 such\r\n user", Reply(550, "5.1.1", "No\nsuch\nuser"), "repeated"),
        (550, "5.1.1 a\n5.1.10 b", Reply(550, "5.1.1", "a\n5.1.10 b"), "only whole ones go"),
        (550, "No\n5.1.1 such user", Reply(550, "", "No\n5.1.1 such user"), "first line decides"),
        (550, "4.2.2 full", Reply(550, "", "4.2.2 full"), "class and code disagree"),
        (250, "5.1.1 ok", Reply(250, "", "5.1.1 ok"), "class and code disagree"),
        (550, "5.1.1x", Reply(550, "", "5.1.1x"), "no white space after it"),
        (550, "5.1234.1 x", Reply(550, "", "5.1234.1 x"), "four digits"),
        (550, "3.1.1 x", Reply(550, "", "3.1.1 x"), "no such class"),
        (550, "5.1.1-x", Reply(550, "", "5.1.1-x"), "no white space after it"),
        (550, "a\x00\x1b[31m\x07b", Reply(550, "", "a??[31m?b"), "terminal escapes"),
        (550, "a\u2028b\u202ec\x85", Reply(550, "", "a?b?c?"), "hidden line ends and bidi"),
        (550, "a\udcffb", Reply(550, "", "a?b"), "cannot be stored as UTF-8"),
        (550, "Tab\tand é stay", Reply(550, "", "Tab\tand é stay"), "printable"),
    ],
)
def test_of(code: int, text: str, expected: Reply, reason: str) -> None:
    assert Reply.of(code, text) == expected, reason


def test_long_text_is_cut() -> None:
    assert Reply.of(550, "5.1.1 " + "x" * 5000) == Reply(550, "5.1.1", "x" * MAX_TEXT)


@pytest.mark.parametrize(
    ("code", "positive", "transient", "permanent"),
    [
        (199, False, False, False),
        (200, True, False, False),
        (299, True, False, False),
        (354, False, False, False),
        (400, False, True, False),
        (499, False, True, False),
        (500, False, False, True),
        (599, False, False, True),
        (600, False, False, False),
    ],
)
def test_kind(code: int, positive: bool, transient: bool, permanent: bool) -> None:
    reply = Reply(code, "", "")
    assert (reply.is_positive, reply.is_transient, reply.is_permanent) == (
        positive,
        transient,
        permanent,
    )


def test_one_line_for_people() -> None:
    assert str(Reply(550, "5.1.1", "No\nsuch user")) == "550 5.1.1 No such user"
    assert str(Reply(250, "", "")) == "250"


@given(st.integers(200, 599), st.text())
def test_any_text_makes_a_reply_that_can_be_kept(code: int, text: str) -> None:
    reply = Reply.of(code, text)
    assert len(reply.text) <= MAX_TEXT
    assert len(str(reply).splitlines()) == 1
    str(reply).encode()
