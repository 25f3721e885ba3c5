"""`mta webhook`: endpoints that get events: how they fare, a test post, replays, on and off.

They are made through the API, by whoever receives the posts.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import click

from control_api.app import WEBHOOK_FORMATS
from control_api.event_types import EventType, example
from control_api.http_client import Answered, HttpClient
from control_api.webhook_events import MAX_REPLAY
from control_api.webhook_message import format_named
from control_api.webhook_trial import BY_NAME, DEFAULT, Trial, make_trial, trial_json
from control_api.webhooks import REQUESTED, as_json
from mta.cli.environment import Environment
from mta.cli.failure import Failure
from mta.cli.options import TimeSpan, json_option
from mta.cli.output import (
    Cell,
    Styled,
    clock,
    print_fields,
    print_json,
    print_line,
    print_table,
    span,
)
from mta.cli.store import change, read
from mta.core.ids import number_of
from storage import event_feed, events, webhook_history, webhooks
from storage.database import Connection
from storage.event_feed import Span
from storage.webhook_history import Lag
from storage.webhooks import WebhookRecord


@click.group()
def command() -> None:
    """Look after the endpoints that events are posted to."""


@command.command("list")
@json_option
@click.pass_obj
def list_(environment: Environment, is_json: bool) -> None:
    """List endpoints and how far behind each is."""
    now = environment.now()
    if is_json:
        print_json(read(environment, lambda c: [as_json(c, one, now) for one in webhooks.list_(c)]))
        return
    found = read(
        environment, lambda c: [(one, webhook_history.lag(c, one)) for one in webhooks.list_(c)]
    )
    print_table(
        ("ID", "URL", "STATE", "WAITING>", "RETRYING>", "BEHIND>", "DESCRIPTION"),
        [
            (
                record.id,
                record.url,
                _state(record, now),
                str(lag.events),
                str(lag.retrying),
                _behind(lag, now),
                record.description,
            )
            for record, lag in found
        ],
    )


@command.command()
@click.argument("webhook_id", metavar="ID")
@json_option
@click.pass_obj
def show(environment: Environment, webhook_id: str, is_json: bool) -> None:
    """Show one endpoint, and its newest events with what became of them."""
    now = environment.now()
    record = _required(environment, webhook_id)
    if is_json:
        print_json(read(environment, lambda c: as_json(c, record, now)))
        return
    lag = read(environment, lambda c: webhook_history.lag(c, record))
    kinds = ["all"] if record.kinds is None else [kind.webhook_type for kind in record.kinds]
    print_fields(
        [
            ("id", record.id),
            ("url", record.url),
            ("description", record.description),
            ("events", ", ".join(dict.fromkeys(kinds))),
            ("state", _state(record, now)),
            ("failing since", clock(record.health.failing_since)),
            ("waiting", f"{lag.events}, {lag.retrying} retrying, {_behind(lag, now)} behind"),
            ("dropped", str(record.dropped)),
        ]
    )
    newest = read(environment, lambda c: webhook_history.list_(c, record, limit=10))
    print_table(
        ("EVENT", "AT", "TYPE", "STATE", "TRIES>", "LAST"),
        [
            (
                one.event.id,
                clock(one.event.at),
                one.event.kind.webhook_type,
                one.state.value,
                str(one.attempts),
                "" if one.last is None else str(one.last.status or one.last.error),
            )
            for one in newest
        ],
    )


@command.command()
@click.argument("webhook_id", metavar="ID")
@click.option(
    "--type",
    "name",
    type=click.Choice(sorted(BY_NAME)),
    default=DEFAULT,
    show_default=True,
    help="Which event to make up.",
)
@json_option
@click.pass_obj
def test(environment: Environment, webhook_id: str, name: str, is_json: bool) -> None:
    """Post a made-up event to an endpoint, and show what it answers."""
    record = _required(environment, webhook_id)
    trial = asyncio.run(_post(environment, record, BY_NAME[name]))
    if is_json:
        print_json(trial_json(trial))
    else:
        _print_trial(trial)
    if not trial.outcome.is_success:
        raise click.exceptions.Exit(1)


@command.command()
@click.argument("webhook_id", metavar="ID")
@click.argument("event_id", metavar="[EVENT]", required=False)
@click.option("--since", type=TimeSpan(), help='Events of the last "1h", "2d", ...')
@click.option("--all", "is_all", is_flag=True, help="Also those that were delivered.")
@json_option
@click.pass_obj
def replay(
    environment: Environment,
    webhook_id: str,
    event_id: str | None,
    since: timedelta | None,
    is_all: bool,
    is_json: bool,
) -> None:
    """Post an event once more, or all that were given up in the last time."""
    if (event_id is None) == (since is None):
        raise click.UsageError("Name an event or give --since, not both.")
    record = _required(environment, webhook_id)
    if record.disabled_at:
        raise Failure(f"{webhook_id}: disabled; `mta webhook enable {webhook_id}` first")
    if event_id is not None:
        count = _replay_one(environment, record, event_id)
    else:
        begin = environment.now() - (since or timedelta())
        count = _replay_since(environment, record, begin, only_failed=not is_all)
    if is_json:
        print_json({"count": count})
    else:
        print_line(Styled(f"{count} to be posted again", "good"))


@command.command()
@click.argument("webhook_id", metavar="ID")
@click.pass_obj
def enable(environment: Environment, webhook_id: str) -> None:
    """Go on with a disabled endpoint where it stopped."""
    _required(environment, webhook_id)
    if not change(environment, lambda c: webhooks.enable(c, webhook_id)):
        raise Failure(f"{webhook_id}: is not disabled")
    print_line(Styled("enabled", "good"), webhook_id)


@command.command()
@click.argument("webhook_id", metavar="ID")
@click.pass_obj
def disable(environment: Environment, webhook_id: str) -> None:
    """Post nothing to an endpoint until it is enabled again."""
    _required(environment, webhook_id)
    now = environment.now()
    if not change(environment, lambda c: webhooks.disable(c, webhook_id, now, REQUESTED)):
        raise Failure(f"{webhook_id}: is disabled already")
    print_line(Styled("disabled", "good"), webhook_id)


def _required(environment: Environment, webhook_id: str) -> WebhookRecord:
    record = read(environment, lambda c: webhooks.get(c, webhook_id))
    if record is None:
        raise Failure(f"{webhook_id}: no webhook has this id; see `mta webhook list`")
    return record


async def _post(environment: Environment, record: WebhookRecord, event_type: EventType) -> Trial:
    settings = environment.settings.webhooks
    client = HttpClient(
        timeout=settings.timeout,
        allowed=settings.allow_private_targets,
        allowed_ports=settings.allow_ports,
    )
    try:
        made_up = example(event_type, environment.new_id("ev"), environment.now())
        form = format_named(WEBHOOK_FORMATS, record.format)
        return await make_trial(client, record, made_up, form)
    finally:
        await client.close()


def _print_trial(trial: Trial) -> None:
    outcome = trial.outcome
    took = f"{trial.latency / timedelta(milliseconds=1):.0f} ms"
    if isinstance(outcome, Answered):
        style = "good" if outcome.is_success else "bad"
        print_line(Styled(f"answered {outcome.status}", style), f"in {took}:", outcome.text)
    else:
        print_line(Styled("not delivered", "bad"), f"after {took}:", outcome.error)


def _replay_one(environment: Environment, record: WebhookRecord, event_id: str) -> int:
    now, seq = environment.now(), number_of(event_id, "ev")

    def act(connection: Connection) -> bool:
        event = None if seq is None else events.by_seq(connection, seq)
        if event is None or event.tenant_id != record.tenant_id:
            return False
        webhook_history.replay(connection, record, event, now)
        return True

    if not change(environment, act):
        raise Failure(f"{event_id}: the journal has no such event")
    return 1


def _replay_since(
    environment: Environment, record: WebhookRecord, begin: datetime, *, only_failed: bool
) -> int:
    """Replay in parts, so that mail never waits long."""
    now, count, has_more = environment.now(), 0, True
    after = read(environment, lambda c: event_feed.seq_before(c, begin))

    def act(connection: Connection) -> webhook_history.Replayed:
        part = Span(record.tenant_id, record.kinds, after)
        return webhook_history.replay_range(
            connection, record, part, only_failed=only_failed, limit=MAX_REPLAY, now=now
        )

    while has_more:
        replayed = change(environment, act)
        count, has_more = count + len(replayed.seqs), replayed.has_more
        after = replayed.seqs[-1] if replayed.seqs else after
    return count


def _state(record: WebhookRecord, now: datetime) -> Cell:
    until = record.health.paused_until
    if record.disabled_at:
        return Styled(f"disabled {clock(record.disabled_at)}: {record.disabled_for}", "bad")
    if until and until > now:
        return Styled(f"paused until {clock(until)}", "waiting")
    if record.health.failing_since:
        return Styled(f"failing since {clock(record.health.failing_since)}", "waiting")
    return Styled("enabled", "good")


def _behind(lag: Lag, now: datetime) -> str:
    return span(max(now - lag.oldest_at, timedelta())) if lag.oldest_at else "-"
