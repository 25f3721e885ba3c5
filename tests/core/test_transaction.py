from __future__ import annotations

import pytest

from mta.core.extensions import Extensions
from mta.core.transaction import (
    Transaction,
    TransactionRecipient,
    mail_command,
    objection,
    rcpt_command,
    recipient_objection,
)

ALL = Extensions(size=True, max_size=None, pipelining=True, eight_bit=True, smtputf8=True, dsn=True)
NONE = Extensions()


def transaction(
    mail_from: str = "a@b.test", *recipients: str, size: int = 100, **values: object
) -> Transaction:
    return Transaction(
        mail_from,
        tuple(TransactionRecipient(each) for each in recipients or ("c@d.test",)),
        header=b"Subject: x\r\n\r\n",
        body=b"x\r\n",
        size=size,
        **values,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("given", "offered", "line"),
    [
        (transaction(), NONE, b"MAIL FROM:<a@b.test>\r\n"),
        (transaction(""), NONE, b"MAIL FROM:<>\r\n"),
        (transaction(), ALL, b"MAIL FROM:<a@b.test> SIZE=100\r\n"),
        (transaction(is_8bit=True), ALL, b"MAIL FROM:<a@b.test> SIZE=100 BODY=8BITMIME\r\n"),
        (transaction(needs_smtputf8=True), ALL, b"MAIL FROM:<a@b.test> SIZE=100 SMTPUTF8\r\n"),
        (
            transaction("ä@b.test"),
            Extensions(smtputf8=True),
            "MAIL FROM:<ä@b.test> SMTPUTF8\r\n".encode(),
        ),
        (
            transaction("a@b.test", "c@d.test", "ü@d.test"),
            Extensions(smtputf8=True),
            b"MAIL FROM:<a@b.test> SMTPUTF8\r\n",
        ),
        (
            transaction("a@b.test", "ü@d.test"),
            NONE,  # that recipient is refused here, so the rest needs no SMTPUTF8
            b"MAIL FROM:<a@b.test>\r\n",
        ),
        (
            transaction(ret="HDRS", envid="x+2By"),
            Extensions(dsn=True),
            b"MAIL FROM:<a@b.test> RET=HDRS ENVID=x+2By\r\n",
        ),
        (transaction(ret="HDRS", envid="x"), NONE, b"MAIL FROM:<a@b.test>\r\n"),
    ],
)
def test_mail_command(given: Transaction, offered: Extensions, line: bytes) -> None:
    assert mail_command(given, offered) == line


@pytest.mark.parametrize(
    ("recipient", "offered", "line"),
    [
        (TransactionRecipient("c@d.test"), ALL, b"RCPT TO:<c@d.test>\r\n"),
        (TransactionRecipient('"a b"@d.test'), ALL, b'RCPT TO:<"a b"@d.test>\r\n'),
        (
            TransactionRecipient("c@d.test", "SUCCESS,FAILURE", "rfc822;x@y.test"),
            ALL,
            b"RCPT TO:<c@d.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;x@y.test\r\n",
        ),
        (TransactionRecipient("c@d.test", "NEVER", "rfc822;x"), NONE, b"RCPT TO:<c@d.test>\r\n"),
    ],
)
def test_rcpt_command(recipient: TransactionRecipient, offered: Extensions, line: bytes) -> None:
    assert rcpt_command(recipient, offered) == line


@pytest.mark.parametrize(
    ("given", "offered", "code", "enhanced"),
    [
        (transaction(size=101), Extensions(size=True, max_size=100), 552, "5.3.4"),
        (transaction(size=100), Extensions(size=True, max_size=100), None, ""),
        (transaction(size=10**9), Extensions(size=True), None, ""),
        (transaction(is_8bit=True), NONE, 554, "5.6.3"),
        (transaction(is_8bit=True), Extensions(eight_bit=True), None, ""),
        (transaction("ä@b.test"), NONE, 550, "5.6.7"),
        (transaction(needs_smtputf8=True), NONE, 550, "5.6.7"),
        (transaction("a@b.test", "ü@d.test"), NONE, None, ""),
        (transaction(), NONE, None, ""),
    ],
)
def test_objection(
    given: Transaction, offered: Extensions, code: int | None, enhanced: str
) -> None:
    reply = objection(given, offered)
    assert (reply.code, reply.enhanced) == (code, enhanced) if reply else code is None


def test_recipient_objection() -> None:
    recipient = TransactionRecipient("ü@d.test")
    refusal = recipient_objection(recipient, NONE)
    assert refusal is not None
    assert (refusal.code, refusal.enhanced) == (553, "5.6.7")
    assert recipient_objection(recipient, Extensions(smtputf8=True)) is None
    assert recipient_objection(TransactionRecipient("c@d.test"), NONE) is None


# H07: an address that was never validated must not become a parameter or a command.
@pytest.mark.parametrize(
    "address",
    [
        "a@b.test\r\nRSET",
        "a@b.test\n",
        "a@b.test\0",
        "a@b.test SIZE=1",
        "a@b.test> NOTIFY=NEVER",
        "<a@b.test",
        '"a\rb"@b.test',
        "a\x7f@b.test",
    ],
)
def test_unsafe_addresses_are_a_bug_of_the_caller(address: str) -> None:
    with pytest.raises(ValueError, match="unsafe"):
        TransactionRecipient(address)
    with pytest.raises(ValueError, match="unsafe"):
        transaction(address)


@pytest.mark.parametrize("value", ["NEVER SIZE=1", "x\r\n", "x\0", "ä"])
def test_unsafe_parameters_are_a_bug_of_the_caller(value: str) -> None:
    with pytest.raises(ValueError, match="unsafe"):
        TransactionRecipient("a@b.test", value)
    with pytest.raises(ValueError, match="unsafe"):
        TransactionRecipient("a@b.test", "", value)
    with pytest.raises(ValueError, match="unsafe"):
        transaction(envid=value)
    with pytest.raises(ValueError, match="unsafe"):
        transaction(ret=value)


def test_a_recipient_is_never_empty() -> None:
    with pytest.raises(ValueError, match="needs an address"):
        TransactionRecipient("")
