"""`mta queue`: what waits and why, and the operator's wishes: retry, hold, cancel, suspend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import click

from mta.cli.environment import Environment
from mta.cli.explain import explanation_of
from mta.cli.failure import Failure
from mta.cli.options import Tag, TimeSpan, json_option
from mta.cli.output import (
    Cell,
    Styled,
    clock,
    distance,
    print_json,
    print_line,
    print_note,
    print_table,
    stamp,
)
from mta.cli.store import change, opened, read
from mta.core.address import to_ascii_domain
from mta.core.envelope import Priority
from mta.core.explain import Block
from mta.core.frozen import frozen
from mta.kick import kick_engine
from storage import engine_state, queue_changes, suspensions
from storage import queue as stored
from storage.database import Database
from storage.queue import DomainDepth, EntryState, EntryView, Selection
from storage.queue_changes import Operation, QueueChange

_STATES: Mapping[str, str] = {"waiting": "waiting", "claimed": "good", "held": "bad"}


@click.group()
def command() -> None:
    """See and steer the queue. An entry is one recipient of one message."""


@command.command("list")
@click.option("--domain", help="Only entries to this domain.")
@click.option("--state", type=click.Choice(list(_STATES)), help="Only entries in this state.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1), help="At most.")
@json_option
@click.pass_obj
def list_(environment: Environment, /, **options: Any) -> None:
    """List the entries that are not settled yet, oldest first."""
    domain, state, limit = options["domain"], options["state"], options["limit"]
    now = environment.now()
    entries, blocks = read(
        environment,
        lambda connection: (
            stored.list_entries(
                connection,
                limit=limit + 1,
                domain=to_ascii_domain(domain) if domain else None,
                states=[EntryState[state.upper()]] if state else None,
            ),
            engine_state.blocks(connection, now),
        ),
    )
    if options["is_json"]:
        print_json([_as_json(entry, blocks, now) for entry in entries[:limit]])
    elif not entries:
        print_line("nothing waits")
    else:
        print_table(
            ("ENTRY", "STATE", "TRIES>", "NEXT", "TO", "WHY"),
            [_row(entry, now) for entry in entries[:limit]],
        )
    if len(entries) > limit:
        print_note(f"there are more than {limit}; see `mta queue show`, or raise --limit")


@command.command()
@json_option
@click.pass_obj
def show(environment: Environment, is_json: bool) -> None:
    """Show how much waits where, and which sites are left alone."""
    now = environment.now()
    depths, blocks = read(
        environment,
        lambda connection: (stored.depths(connection), engine_state.blocks(connection, now)),
    )
    if is_json:
        print_json(
            {
                "domains": [_depth_json(depth) for depth in depths],
                "suspensions": [_block_json(block) for block in blocks],
            }
        )
        return
    if not depths:
        print_line("nothing waits")
    else:
        print_table(
            ("DOMAIN", "WAITING>", "CLAIMED>", "HELD>", "OLDEST"),
            [
                (d.domain, f"{d.waiting}", f"{d.claimed}", f"{d.held}", distance(d.oldest, now))
                for d in depths
            ],
        )
    if blocks:
        print_line()
        print_table(
            ("LEFT ALONE", "UNTIL", "BECAUSE"),
            [(block.name, distance(block.until, now), _because(block)) for block in blocks],
        )


@frozen
class Wish:
    """An operator's wish that changes entries.

    Attributes:
        name: of the command.
        operation: what storage does.
        done: what has happened to them.
        help: what the command says of itself.
    """

    name: str
    operation: Operation
    done: str
    help: str


WISHES = (
    Wish("retry", Operation.RETRY, "due now", "Try waiting entries now instead of later."),
    Wish("hold", Operation.HOLD, "held", "Keep entries from being tried until they are released."),
    Wish("release", Operation.RELEASE, "released", "Let held entries go, when they are due."),
    Wish("cancel", Operation.CANCEL, "canceled", "Take entries out of the queue, for good."),
)


_IDS = "IDs are those of entries (dl_...) or of messages (em_...), whose open entries are meant."


def _command(wish: Wish) -> click.Command:
    @click.command(wish.name, help=f"{wish.help}\n\n{_IDS}")
    @click.argument("ids", nargs=-1, metavar="[ID]...")
    @click.option("--domain", help="All entries to this domain.")
    @click.option("--tag", type=Tag(), help="All entries of messages with this tag, NAME=VALUE.")
    @click.option("--all", "is_all", is_flag=True, help="All entries.")
    @json_option
    @click.pass_obj
    def run(
        environment: Environment,
        /,
        **options: Any,
    ) -> None:
        ids, domain = options["ids"], options["domain"]
        tag, is_all = options["tag"], options["is_all"]
        if bool(ids) + bool(domain or tag) + is_all != 1:
            raise click.UsageError("name entries by ids, or by --domain and --tag, or by --all")
        selection = Selection(ids, to_ascii_domain(domain) if domain else "", is_all, tag)
        count = _carry_out(environment, QueueChange(wish.operation, selection, environment.now()))
        if options["is_json"]:
            print_json({"count": count})
        elif count or not ids:
            print_line(Styled(wish.done, "good"), f"{count} {'entry' if count == 1 else 'entries'}")
        if ids and not count:
            raise Failure(f"nothing to {wish.name}: see `mta queue list` for what is in the queue")

    return run


def _carry_out(environment: Environment, wished: QueueChange) -> int:
    with opened(environment) as database:
        try:
            count = carry_out(database, wished)
        finally:
            kick_engine(environment.settings.server.data_dir)
    return count


def carry_out(database: Database, wished: QueueChange) -> int:
    """Carry a change out in steps, between which a running server gets on; return how many.

    Raises:
        Failure: it was interrupted by Ctrl-C, and goes no further.
        StorageError: a server does the rest when it starts.
    """
    rows = database.read_now(partial(queue_changes.entries, change=wished))
    row = database.write_now(partial(queue_changes.begin, change=wished))
    count, is_interrupted = 0, False
    try:
        for some in queue_changes.steps(rows):
            count += database.write_now(partial(queue_changes.apply, change=wished, rows=some))
    except KeyboardInterrupt:
        is_interrupted = True
    database.write_now(partial(queue_changes.end, row=row))
    if is_interrupted:
        raise Failure(f"stopped after {count} of {len(rows)} entries; the others are as they were")
    return count


for _wish in WISHES:
    command.add_command(_command(_wish))


@command.command()
@click.argument("domain")
@click.option("--for", "span", type=TimeSpan(), required=True, help='How long, such as "2h".')
@click.option("--reason", default="", help="Why, for others who look at the queue.")
@click.pass_obj
def suspend(environment: Environment, domain: str, span: timedelta, reason: str) -> None:
    """Try nothing of a domain for a while; its mail is accepted and waits.

    What the engine has in memory already, some seconds of work, is still tried.
    """
    name, now = to_ascii_domain(domain), environment.now()
    until = now + span
    change(
        environment,
        lambda c: suspensions.suspend(c, name, until=until, reason=reason, now=now),
    )
    print_line(Styled("suspended", "bad"), name, "until", clock(until))


@command.command()
@click.argument("domain")
@click.pass_obj
def resume(environment: Environment, domain: str) -> None:
    """End the suspension of a domain before its time."""
    name = to_ascii_domain(domain)
    if not change(environment, lambda connection: suspensions.resume(connection, name)):
        raise Failure(f"{name}: not suspended; see `mta queue show`")
    print_line(Styled("resumed", "good"), name)


def _row(entry: EntryView, now: datetime) -> tuple[Cell, ...]:
    last = f"{entry.code or ''} {entry.reply}".strip()
    return (
        entry.id,
        Styled(entry.state, _STATES[entry.state]),
        str(entry.attempts),
        distance(entry.due_at, now) if entry.due_at else "-",
        entry.recipient,
        f"{entry.why}: {last}" if last else entry.why,
    )


def _as_json(entry: EntryView, blocks: Sequence[Block], now: datetime) -> dict[str, object]:
    return {
        "id": entry.id,
        "email_id": entry.email_id,
        "recipient": entry.recipient,
        "domain": entry.domain,
        "state": entry.state,
        "priority": Priority(entry.priority).name.lower(),
        "attempts": entry.attempts,
        "due_at": stamp(entry.due_at),
        "why": entry.why,
        "explanation": explanation_of(entry, blocks, now),
        "code": entry.code,
        "reply": entry.reply,
        "host": entry.host,
        "created_at": stamp(entry.created_at),
    }


def _depth_json(depth: DomainDepth) -> dict[str, object]:
    return {
        "domain": depth.domain,
        "waiting": depth.waiting,
        "claimed": depth.claimed,
        "held": depth.held,
        "oldest": stamp(depth.oldest),
        "next_due": stamp(depth.next_due),
    }


def _block_json(block: Block) -> dict[str, object]:
    return {
        "name": block.name,
        "by": "operator" if block.is_operator else "engine",
        "until": stamp(block.until),
        "detail": block.detail,
    }


def _because(block: Block) -> str:
    who = "an operator wants it" if block.is_operator else "nobody got through"
    return f"{who}: {block.detail}" if block.detail else who
