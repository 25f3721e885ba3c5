"""`mta message`: one message, what happened to it, and what each recipient waits for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from mta.cli.environment import Environment
from mta.cli.explain import explanation_of
from mta.cli.failure import Failure
from mta.cli.journal_lines import event_cells, event_json
from mta.cli.options import json_option
from mta.cli.output import Cell, Styled, clock, print_fields, print_json, print_line, stamp
from mta.cli.store import read
from mta.core.explain import Block
from storage import engine_state, events, messages
from storage.database import Connection
from storage.events import JournalEntry
from storage.messages import EmailView, RecipientView

_STATES = {
    "delivered": "good",
    "claimed": "good",
    "waiting": "waiting",
    "queued": "waiting",
    "scheduled": "waiting",
    "deferred": "waiting",
}
"""State of an entry or a message -> style; the others are bad."""


@click.group()
def command() -> None:
    """One message: what happened, and what it waits for."""


@command.command()
@click.argument("email_id", metavar="ID")
@json_option
@click.pass_obj
def show(environment: Environment, email_id: str, is_json: bool) -> None:
    """Show a message (em_...): each recipient's state and why, and all that happened so far."""
    now = environment.now()
    email, history, blocks = read(environment, lambda c: _find(c, email_id, now))
    if is_json:
        print_json(_as_json(email, history, blocks, now))
        return
    print_fields(_facts(email))
    for recipient in email.recipients:
        print_line()
        print_line(Styled(recipient.address, "title"), _styled(recipient.status))
        print_fields(_recipient_facts(recipient, blocks, now))
    print_line()
    for event in history:
        print_line(*event_cells(event))


def _find(
    connection: Connection, email_id: str, now: datetime
) -> tuple[EmailView, Sequence[JournalEntry], Sequence[Block]]:
    email = messages.get(connection, None, email_id)
    if email is None:
        raise Failure(f"{email_id}: no such message; its events are kept for retention.events")
    history = events.of_message(connection, email.row_id)
    return email, history, engine_state.blocks(connection, now)


def _facts(email: EmailView) -> list[tuple[str, Cell]]:
    facts: list[tuple[str, Cell]] = [
        ("message", email.public_id),
        ("status", _styled(email.status)),
        ("from", email.from_),
        ("to", ", ".join(email.to)),
        ("subject", email.subject),
        ("message-id", email.message_id),
        ("return path", f"<{email.mail_from}>"),
        ("accepted", f"{clock(email.created_at)} over {email.door.upper()}"),
        ("size", f"{email.size} bytes{'' if email.has_body else ', body no longer kept'}"),
    ]
    return [(name, value) for name, value in facts if value]


def _recipient_facts(
    recipient: RecipientView, blocks: Sequence[Block], now: datetime
) -> list[tuple[str, Cell]]:
    facts: list[tuple[str, Cell]] = [("  entry", recipient.entry_id)]
    if recipient.attempts:
        facts.append(("  attempts", str(recipient.attempts)))
    if answer := _answer(recipient):
        facts.append(("  last answer", answer))
    if recipient.bounce_class and recipient.status != "delivered":
        facts.append(("  class", recipient.bounce_class))
    if waits_for := explanation_of(recipient, blocks, now):
        facts.append(("  waits for", waits_for))
    return facts


def _answer(recipient: RecipientView) -> str:
    parts = (str(recipient.code or ""), recipient.enhanced, recipient.reply)
    answer = " ".join(part for part in parts if part)
    return f"{answer} (from {recipient.host})" if recipient.host else answer


def _styled(state: str) -> Styled:
    return Styled(state, _STATES.get(state, "bad"))


def _as_json(
    email: EmailView,
    history: Sequence[JournalEntry],
    blocks: Sequence[Block],
    now: datetime,
) -> dict[str, object]:
    return {
        "id": email.public_id,
        "status": email.status,
        "door": email.door,
        "mail_from": email.mail_from,
        "from": email.from_,
        "to": email.to,
        "subject": email.subject,
        "message_id": email.message_id,
        "created_at": stamp(email.created_at),
        "send_at": stamp(email.send_at),
        "settled_at": stamp(email.settled_at),
        "size": email.size,
        "recipients": [
            {
                "entry_id": recipient.entry_id,
                "address": recipient.address,
                "status": recipient.status,
                "attempts": recipient.attempts,
                "due_at": stamp(recipient.due_at),
                "why": recipient.why,
                "explanation": explanation_of(recipient, blocks, now),
                "code": recipient.code,
                "enhanced": recipient.enhanced,
                "reply": recipient.reply,
                "class": recipient.bounce_class,
                "host": recipient.host,
            }
            for recipient in email.recipients
        ],
        "events": [event_json(event) for event in history],
    }
