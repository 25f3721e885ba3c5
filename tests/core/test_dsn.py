"""The machine-readable part of delivery status notifications (RFC 3464, RFC 6533)."""

from __future__ import annotations

import pytest

from mta.core.dsn import MAX_RECIPIENTS, Action, RecipientStatus, addresses_in, read_status
from mta.core.mime_reader import NO_FIELDS, Part


def statuses(text: str) -> tuple[RecipientStatus, ...]:
    return read_status(Part("message/delivery-status", NO_FIELDS, text.encode(), ""))


def test_a_recipient_as_the_standard_has_it() -> None:
    [status] = statuses(
        "Reporting-MTA: dns; mx.relay.test\n\n"
        "Original-Recipient: rfc822;ant@sender.test\n"
        "Final-Recipient: rfc822; ant@there.test\n"
        "Action: failed\nStatus: 5.1.1 (no such mailbox)\n"
        "Remote-MTA: dns; MX.There.Test\n"
        "Diagnostic-Code: smtp; 550 5.1.1\n  no such user\n"
    )
    assert status == RecipientStatus(
        "ant@sender.test",
        "ant@sender.test",
        Action.FAILED,
        "5.1.1",
        "550 5.1.1 no such user",
        "mx.there.test",
    )


def test_fields_in_one_group_with_those_of_the_message() -> None:
    [status] = statuses("Reporting-MTA: dns; x\nFinal-Recipient: ant@there.test\nAction: failed")
    assert (status.address, status.action, status.status) == ("ant@there.test", Action.FAILED, "")


def test_fields_of_the_message_count_where_a_recipient_has_none() -> None:
    [status] = statuses("Action: delayed\nStatus: 4.4.1\n\nFinal-Recipient: ant@there.test")
    assert (status.action, status.status) == (Action.DELAYED, "4.4.1")


def test_each_recipient_once_and_in_order() -> None:
    text = "\n \n".join(f"Final-Recipient: rfc822;{name}@a.test" for name in "cabA")
    assert [status.address[0] for status in statuses(text)] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ('rfc822; "two words"@a.test', '"two words"@a.test'),
        ("rfc822; two words@a.test", '"two words"@a.test'),
        ("rfc822; Two Words <other@a.test>", "other@a.test"),
    ],
)
def test_a_local_part_in_quotes(field: str, address: str) -> None:
    [status] = statuses(
        f'Final-Recipient: {field}\nDiagnostic-Code: smtp; 550 <"two words"@a.test>: unknown'
    )
    assert status.address == address


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("utf-8; \\x{E4}nt@there.test", "änt@there.test"),
        ("utf-8; \\x{1F41C}@b\\x{FC}cher.test", "🐜@bücher.test"),
        ("utf-8; änt@there.test", "änt@there.test"),
        ("utf-8; \\x{D800}@there.test", ""),
        ("utf-8; \\x{A}ant@there.test", "ant@there.test"),
    ],
)
def test_an_address_beyond_ascii(value: str, address: str) -> None:
    """As RFC 6533 3 writes it; what no address may hold is left out, or makes it none."""
    found = statuses(f"Final-Recipient: {value}\nAction: failed\nStatus: 5.1.1")
    assert [status.address for status in found] == ([address] if address else [])


def test_a_reply_of_several_lines_that_nobody_folded() -> None:
    [status] = statuses(
        "Final-Recipient: ant@a.test\nDiagnostic-Code: smtp; 550-5.7.1 likely\n"
        "550 5.7.1 unsolicited\nAction: failed"
    )
    assert status.diagnostic == "550-5.7.1 likely 550 5.7.1 unsolicited"
    assert status.action is Action.FAILED


def test_an_address_of_another_system_yields_to_one_of_ours() -> None:
    [status] = statuses("Final-Recipient: x; ant@host\nOriginal-Recipient: rfc822;ant@a.test")
    assert status.address == "ant@a.test"


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ("Failed", Action.FAILED),
        ("failure", Action.FAILED),
        ("expired", Action.FAILED),
        ("delayed (4 h)", Action.DELAYED),
        ("relayed", Action.RELAYED),
        ("", None),
        ("5.1.1", None),
    ],
)
def test_actions(action: str, expected: Action | None) -> None:
    [status] = statuses(f"Final-Recipient: ant@a.test\nAction: {action}")
    assert status.action is expected


def test_no_more_recipients_than_the_cap() -> None:
    text = "\n\n".join(f"Final-Recipient: rfc822;u{n}@a.test" for n in range(3000))
    assert len(statuses(text)) == MAX_RECIPIENTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rfc822;ant@a.test", ["ant@a.test"]),
        ("utf-8; änn@ä.test", ["änn@ä.test"]),
        ("c=US;a= ;p=X;dda:SMTP=ant@a.test;", ["ant@a.test"]),
        ("<ant@a.test>, 'bee@b.test'.", ["ant@a.test", "bee@b.test"]),
        ('"ant.lee"@a.test', ['"ant.lee"@a.test']),
        ("dave...@a.test cut...@b.test ant@a...", []),
        ("@a.test ant@ nobody", []),
        ("ant@a.test.", ["ant@a.test"]),
    ],
)
def test_addresses_in_a_text(text: str, expected: list[str]) -> None:
    assert [address for _, address in addresses_in(text)] == expected
