import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.bounce import HARD, BounceClass, Scope, Verdict, classify, scope_of, status_of
from mta.core.outcome import Command
from mta.core.reply import Reply

RCPT, END = Command.RCPT, Command.END_OF_DATA


@pytest.mark.parametrize(
    ("reply", "command", "expected", "reason"),
    [
        (Reply(550, "5.1.1", "x"), RCPT, BounceClass.BAD_MAILBOX, "detail"),
        (Reply(450, "4.1.1", "x"), RCPT, BounceClass.BAD_MAILBOX, "the class digit is no matter"),
        (Reply(550, "5.1.10", ""), None, BounceClass.BAD_DOMAIN, "null MX, not 5.1.1 and a zero"),
        (Reply(550, "5.1.2", ""), None, BounceClass.BAD_DOMAIN, "NXDOMAIN"),
        (Reply(552, "5.2.2", "full"), RCPT, BounceClass.MAILBOX_FULL, "detail before code"),
        (Reply(550, "5.2.1", "x"), RCPT, BounceClass.INACTIVE_MAILBOX, "detail"),
        (Reply(550, "5.7.1", "User unknown"), RCPT, BounceClass.POLICY, "subject, never the text"),
        (Reply(550, "5.7.26", "x"), END, BounceClass.AUTH, "detail"),
        (Reply(421, "4.7.28", "x"), END, BounceClass.RATE_LIMIT, "detail"),
        (Reply(550, "5.7.25", "x"), END, BounceClass.IP_REPUTATION, "no reverse DNS"),
        (Reply(552, "5.3.4", "x"), Command.MAIL, BounceClass.TOO_LARGE, "detail"),
        (Reply(451, "4.3.0", "x"), END, BounceClass.REMOTE_ERROR, "subject"),
        (Reply(451, "4.4.7", "x"), END, BounceClass.EXPIRED, "detail"),
        (Reply(451, "4.4.1", "x"), END, BounceClass.NETWORK, "subject"),
        (Reply(450, "4.4.4", "x"), RCPT, BounceClass.NETWORK, "a DNS hiccup is no bad domain"),
        (Reply(550, "5.4.4", "x"), RCPT, BounceClass.BAD_DOMAIN, "detail"),
        (Reply(421, "4.3.2", "x"), RCPT, BounceClass.REMOTE_ERROR, "a server that rests"),
        (Reply(556, "", "x"), RCPT, BounceClass.BAD_DOMAIN, "RFC 7504"),
        (Reply(500, "5.5.2", "x"), END, BounceClass.PROTOCOL, "subject"),
        (Reply(554, "5.6.0", "x"), END, BounceClass.CONTENT_FORMAT, "subject"),
        (Reply(550, "5.0.0", "x"), RCPT, BounceClass.UNKNOWN, "undefined says nothing"),
        (Reply(550, "5.9.9", "x"), RCPT, BounceClass.UNKNOWN, "no such subject"),
        (Reply(550, "", ""), RCPT, BounceClass.BAD_MAILBOX, "a bare code at its word"),
        (Reply(550, "", "Blocked, see URL"), RCPT, BounceClass.UNKNOWN, "550 may be a policy"),
        (Reply(550, "", ""), END, BounceClass.UNKNOWN, "after the data it is not the mailbox"),
        (Reply(552, "", "x"), RCPT, BounceClass.MAILBOX_FULL, "storage of the mailbox"),
        (Reply(552, "", "x"), END, BounceClass.TOO_LARGE, "size of the message"),
        (Reply(421, "", "x"), END, BounceClass.RATE_LIMIT, "code"),
        (Reply(503, "", "x"), Command.DATA, BounceClass.PROTOCOL, "code"),
        (Reply(451, "", "x"), RCPT, BounceClass.UNKNOWN, "greylisting, or anything"),
        (Reply(550, "", ""), None, BounceClass.UNKNOWN, "no server, no status"),
    ],
)
def test_classify(
    reply: Reply, command: Command | None, expected: BounceClass, reason: str
) -> None:
    assert classify(reply, command) is expected, reason


@given(st.integers(400, 599), st.text(max_size=8), st.sampled_from([None, *Command]))
def test_every_refusal_has_a_class(code: int, enhanced: str, command: Command | None) -> None:
    assert isinstance(classify(Reply(code, enhanced, ""), command), BounceClass)


def test_every_class_has_a_scope_and_only_the_recipient_is_ever_hard() -> None:
    assert all(scope_of(bounce_class) is Scope.RECIPIENT for bounce_class in HARD)
    assert scope_of(BounceClass.IP_REPUTATION) is Scope.SENDER_IP
    assert scope_of(BounceClass.UNKNOWN) is Scope.UNKNOWN


@pytest.mark.parametrize("bounce_class", list(BounceClass))
def test_a_status_can_be_inferred(bounce_class: BounceClass) -> None:
    assert status_of(bounce_class, is_permanent=True).startswith("5.")
    assert status_of(bounce_class, is_permanent=False).startswith("4.")


def test_hard_needs_both_the_class_and_permanence() -> None:
    verdict = Verdict(BounceClass.BAD_MAILBOX, False, True, "rule", "4.1.1")
    assert not verdict.is_hard
    assert verdict.is_textual
    assert not Verdict(BounceClass.NETWORK, False, False, "status:4.4.1", "4.4.1").is_textual
