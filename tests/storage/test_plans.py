"""How SQLite answers every query that runs often: by an index, never by walking a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from mta.core.campaign import Content, Todo
from mta.core.disposition import Why
from mta.core.event import EventKind
from mta.core.quota import Quota
from storage import (
    account_totals,
    audiences,
    campaign_counts,
    campaign_people,
    campaign_queue,
    campaign_turns,
    campaigns,
    credit_ledger,
    directives,
    domains,
    event_feed,
    events,
    idempotency,
    message_lists,
    messages,
    queue,
    quotas,
    request_log,
    retention,
    stats,
    submissions,
    suppressions,
    tenants,
    webhook_history,
    webhook_outbox,
    webhooks,
)
from storage.audiences import Identity
from storage.credit_ledger import Movement
from storage.credits import account
from storage.database import Connection
from storage.message_lists import EmailFilter
from storage.queue import Selection
from storage.stats import Group
from storage.suppressions import SuppressionFilter
from storage.webhook_attempts import Result, WebhookAttempt
from storage.webhook_retries import Retry
from tests.storage import builders
from tests.storage.builders import LATER, NOW

Query = Callable[[Any], object]
SCOPE = stats.Scope(1, NOW, LATER)


class Explaining:
    """A connection that also asks, with the same parameters, how each statement is carried out."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.plan: list[str] = []

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        self._explain(statement, parameters)
        return self._connection.execute(statement, parameters)

    def executemany(self, statement: str, rows: Any) -> Any:
        rows = list(rows)
        if rows:
            self._explain(statement, rows[0])
        return self._connection.executemany(statement, rows)

    def _explain(self, statement: str, parameters: Sequence[Any]) -> None:
        plan = self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        self.plan += [row[3] for row in plan]


def campaign(c: Any) -> campaigns.CampaignRecord:
    """Make a campaign to an audience, behind the explaining connection's back."""
    c = c._connection
    audience = audiences.create(c, 1, Identity("n"), now=NOW)
    plan = campaigns.Plan("n", Content("", "s@x.test"), audience.row, audience.id)
    return campaigns.create(c, 1, plan, is_test=False, now=NOW)


def hold_campaign(c: Any) -> object:
    made = campaign(c)
    c._connection.execute("UPDATE campaigns SET todo = 'hold'")
    c._connection.execute("UPDATE messages SET campaign = ?", (made.row,))
    return campaign_queue.work_off(c, made.row, Todo.HOLD, campaign_queue.START, now=NOW)


def settle_with_credits(c: Any) -> object:
    credit_ledger.adjust(c, 1, 9, kind=Movement.ADJUST, description="", now=NOW)
    paid = replace(builders.ANY_SENDER, takes_credits=True)
    submissions.accept(c, builders.submission("x@example.org"), policy=paid, now=NOW)
    return queue.settle(c, [builders.settlement(one) for one in builders.claim(c, "example.org")])


def claim(c: Any) -> object:
    requests = [queue.ClaimRequest("example.net", 100)]
    return queue.claim(c, requests, now=NOW, owner="me")


def accept(c: Any) -> object:
    made = builders.submission("a@example.net", "b@example.net", tags=(("campaign", "x"),))
    return submissions.accept(c, made, policy=submissions.AcceptPolicy(), now=NOW)


def accept_many(c: Any) -> object:
    made = [builders.submission(f"u{number}@example.net") for number in range(70)]
    return submissions.accept_batch(c, made, policy=builders.ANY_SENDER, now=NOW)


def settle(c: Any) -> object:
    return builders.settle_all(c, builders.claim(c), "deferred")


def give_back(c: Any) -> object:
    return queue.give_back(c, [1, 2], due_at=NOW, why=Why.SITE_BUSY)


def newest(c: Any) -> str:
    return message_lists.page(c, 1, limit=1).emails[0].public_id


def endpoint(c: Any) -> webhooks.WebhookRecord:
    """A webhook that has a row in each table of webhooks."""
    return webhooks.get(c, "wh_1") or webhooks.create(
        c,
        tenant_id=1,
        webhook_id="wh_1",
        url="https://app.example/",
        kinds=None,
        secret="s",
        description="",
        now=NOW,
    )


PLACE = webhook_outbox.Place(position=0, rows=(), limit=100, max_backlog=1000)
REPORT = webhook_outbox.Report(
    cursor=2,
    over=[1],
    kept=[Retry("wh_1", 2, 1, NOW, 2)],
    attempts=[WebhookAttempt(2, NOW, LATER - NOW, 500, "", "oops", Result.FAILED)],
    dropped=0,
    health=webhooks.Health(NOW, NOW, LATER),
    disabled_for="",
    at=NOW,
)

HOT: dict[str, Query] = {
    "accept": accept,
    "accept many": accept_many,
    "claim": claim,
    "settle with credits": settle_with_credits,
    "fold credits": lambda c: credit_ledger.fold(c, LATER, limit=10),
    "list credits": lambda c: credit_ledger.list_(c, 1, limit=10),
    "settle": settle,
    "give back": give_back,
    "next due": lambda c: queue.next_due(c, "example.net"),
    "last entry": queue.last_entry_id,
    "directives": lambda c: directives.after(c, 3),
    "keys version": domains.keys_version,
    "suppressed": lambda c: suppressions.lookup(c, 1, ["a", "b"], NOW),
    "authenticate": lambda c: tenants.authenticate(c, b"hash"),
    "idempotency": lambda c: idempotency.find(c, tenant_id=1, scope="POST /v1/emails", key="k"),
    "events": lambda c: events.read(c, after=0, limit=10),
    "events of a kind": lambda c: events.read(
        c, after=0, limit=10, tenant_id=1, kinds=[EventKind.BOUNCED]
    ),
    "event": lambda c: events.by_seq(c, 1),
    "events of a message": lambda c: events.of_message(c, 1),
    "email": lambda c: messages.get(c, 1, newest(c)),
    "emails": lambda c: message_lists.page(c, 1, limit=10),
    "emails after": lambda c: message_lists.page(c, 1, limit=10, after=newest(c)),
    "emails before": lambda c: message_lists.page(c, 1, limit=10, before=newest(c)),
    "emails since": lambda c: message_lists.page(
        c, 1, EmailFilter(since=NOW, until=LATER, status="queued", to="x", domain="y"), limit=10
    ),
    "emails with a tag": lambda c: message_lists.page(
        c, 1, EmailFilter(tag="campaign", tag_value="x"), limit=10, after=newest(c)
    ),
    "emails of a batch": lambda c: message_lists.page(c, 1, EmailFilter(batch_id="bt_1"), limit=10),
    "suppressions": lambda c: suppressions.list_(c, 1, now=NOW, limit=10),
    "suppressions after": lambda c: suppressions.list_(
        c, 1, SuppressionFilter(reason="manual"), now=NOW, limit=10, after="sup_" + "0" * 25 + "9"
    ),
    "suppressions since": lambda c: suppressions.list_(
        c, 1, SuppressionFilter(since=NOW), now=NOW, limit=10
    ),
    "undo an import": lambda c: suppressions.remove_matching(
        c, 1, SuppressionFilter(rule="imp_1"), limit=10
    ),
    "forget suppressions": lambda c: suppressions.forget_expired(c, NOW, limit=10),
    "statistics": lambda c: stats.record(c, stats.tally(c)),
    "statistics by hour": lambda c: stats.timeseries(c, SCOPE, "delivered", hours=24),
    "statistics of a domain": lambda c: stats.totals(
        c, replace(SCOPE, domain="example.net"), ["bounced"]
    ),
    "forget statistics": lambda c: stats.forget_before(c, LATER, limit=10),
    "requests": lambda c: request_log.list_(c, 1, limit=10, after="log_" + "0" * 25 + "9"),
    "forget requests": lambda c: request_log.forget_before(c, LATER, limit=10),
    "entries of an email": lambda c: queue.list_entries(c, limit=10, email_id=newest(c)),
    "hold by id": lambda c: queue.hold(c, Selection(("dl_" + "0" * 25 + "1",)), now=NOW),
    "hold a domain": lambda c: queue.hold(c, Selection(domain="example.net"), now=NOW),
    "release a domain": lambda c: queue.release(c, Selection(domain="example.net"), now=NOW),
    "retry a domain": lambda c: queue.retry_now(c, Selection(domain="example.net"), now=LATER),
    "cancel a domain": lambda c: queue.cancel(c, Selection(domain="example.net"), now=NOW),
    "cancel an email": lambda c: queue.cancel(c, Selection((newest(c),)), now=NOW),
    "webhook outbox": lambda c: webhook_outbox.read(c, endpoint(c), PLACE, NOW),
    "webhook report": lambda c: webhook_outbox.write(c, endpoint(c), REPORT),
    "webhook lag": lambda c: webhook_history.lag(c, endpoint(c)),
    "webhook events": lambda c: webhook_history.list_(c, endpoint(c), limit=10, after=9),
    "webhook events given up": lambda c: webhook_history.list_(
        c, endpoint(c), webhook_history.State.FAILED, limit=10
    ),
    "webhook replay": lambda c: webhook_history.replay_range(
        c, endpoint(c), event_feed.Span(1), only_failed=True, limit=10, now=NOW
    ),
    "event feed": lambda c: event_feed.read(c, event_feed.Span(1, after=3), limit=10),
    "event news": lambda c: event_feed.news(c, 3),
    "events before": lambda c: event_feed.seq_before(c, LATER),
    "prune": lambda c: retention.prune(c, bodies_before=LATER, events_before=LATER, limit=10),
    "depth of a campaign": lambda c: campaign_queue.depth(c, 1, since=NOW, limit=10),
    "untried of a campaign": lambda c: campaign_queue.has_untried(c, 1),
    "hold a campaign": hold_campaign,
    "counts of a campaign": lambda c: campaign_counts.counts(c, campaign(c)),
    "log of a campaign": lambda c: campaign_counts.log(
        c, 1, (EventKind.OPENED, EventKind.CLICKED), after=0, limit=10
    ),
    "recipients of a campaign": lambda c: campaign_people.with_email(c, campaign(c), limit=10),
    "skipped of a campaign": lambda c: campaign_people.skipped(c, campaign(c), limit=10),
    "forget a recipient": lambda c: campaign_people.forget(c, 1, "k", "k"),
    "emails of a campaign": lambda c: message_lists.page(c, 1, EmailFilter(campaign=1), limit=10),
    "campaigns": lambda c: campaigns.list_(c, 1, limit=10),
    "campaigns at work": campaigns.at_work,
    "next turns": lambda c: campaign_turns.next_turns(c, campaign(c), limit=10),
    "files in use": lambda c: retention.files_in_use(c, ["a"]),
    "forget answers": lambda c: idempotency.forget_before(c, LATER),
}
SCOPES = {
    "all": SCOPE,
    "a domain": replace(SCOPE, domain="example.net"),
    "a tag": replace(SCOPE, tag=("campaign", "x")),
    "a campaign": replace(SCOPE, campaign="cmp_1"),
}
FIGURES: dict[str, Query] = {
    **{
        f"totals of {name}": lambda c, s=s: stats.totals(c, s, ["bounced"])
        for name, s in SCOPES.items()
    },
    **{
        f"course of {name}": lambda c, s=s: stats.timeseries(c, s, "delivered", hours=1)
        for name, s in SCOPES.items()
    },
    **{
        f"largest by {group.value}": lambda c, g=group: stats.top(c, SCOPE, "queued", g, limit=9)
        for group in Group
    },
    **{
        f"course by {group.value}": lambda c, g=group: stats.timeseries_of(
            c, SCOPE, "queued", (g, "x"), hours=24
        )
        for group in Group
    },
    "how a domain fares": lambda c: stats.fared(c, 1, "sender.example", since=NOW),
    "what an account has": lambda c: account_totals.read(c, 1),
    "use of the quota": lambda c: quotas.usage(c, 1, Quota(9, 99), NOW),
    "credits": lambda c: account(c, 1),
}
WHOLE_QUEUE: dict[str, Query] = {
    "schedule": queue.schedule,
    "free claims": lambda c: queue.free_claims(c, NOW, owner="me"),
    "depths": queue.depths,
    "depths of a tenant": lambda c: queue.depths(c, tenant_id=1, limit=10),
    "totals": queue.totals,
    "entries": lambda c: queue.list_entries(c, limit=10, tenant_id=1),
    "hold a tag": lambda c: queue.hold(c, Selection(tag=("campaign", "x")), now=NOW),
    "hold everything of a tenant": lambda c: queue.hold(
        c, Selection(is_all=True), now=NOW, tenant_id=1
    ),
    "hold everything": lambda c: queue.hold(c, Selection(is_all=True), now=NOW),
    "cancel everything": lambda c: queue.cancel(c, Selection(is_all=True), now=NOW),
}
SORTED = {"entries of an email", "emails of a batch"}
"""Few rows each, so that sorting them costs nothing."""
GROUPED = {"event news", "statistics", "statistics by hour", "statistics of a domain"}
"""What sums up, or tells who is there, sorts what it has read."""
COUNTERS = r"SEARCH (stats_by_\w+|\w+_counts|domains|campaigns|quota\w*|credit_accounts) USING .*="
"""Rows that are counts, or of which a tenant has few; by the tenant they are found at once."""
SMALL = (
    "SCAN sqlite_sequence",  # one row for each counter
    "SCAN (subquery",  # what a subquery has found
    "SCAN domain_suspensions",  # what an operator has
    "SCAN t VIRTUAL",  # a message's tags
    "SCAN given VIRTUAL",  # what the statement brings along
    "SCAN json_each VIRTUAL",
)


@pytest.fixture
def explaining(connection: Connection) -> Explaining:
    for number in range(20):
        builders.accept(
            connection, f"u{number}@example.net", tags=(("campaign", "x"),), batch_id="bt_1"
        )
    suppressions.add(connection, tenant_id=1, key="k", address="k", reason="manual", now=NOW)
    builders.settle_all(connection, builders.claim(connection, limit=5))
    return Explaining(connection)


@pytest.mark.parametrize("name", HOT)
def test_hot_queries_search_an_index(explaining: Explaining, name: str) -> None:
    HOT[name](explaining)
    assert explaining.plan or name == "last entry"
    scans = [step for step in explaining.plan if step.startswith("SCAN")]
    sorts = [step for step in explaining.plan if "TEMP B-TREE" in step]
    read = [step for step in scans if not step.endswith("-ROW VALUES CLAUSE")]  # these are written
    assert [step for step in read if not step.startswith(SMALL)] == []
    assert sorts == [] or name in SORTED | GROUPED


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_counters(explaining: Explaining, name: str) -> None:
    stats.record(explaining._connection, stats.tally(explaining._connection))
    FIGURES[name](explaining)
    steps = [step for step in explaining.plan if "TEMP B-TREE" not in step]
    assert steps
    assert all(re.match(COUNTERS, step) for step in steps), steps


@pytest.mark.parametrize("name", WHOLE_QUEUE)
def test_what_reads_the_whole_queue_reads_nothing_else(explaining: Explaining, name: str) -> None:
    WHOLE_QUEUE[name](explaining)
    partial = ("entries_waiting", "entries_claimed", "entries_held")
    scans = [step for step in explaining.plan if step.startswith("SCAN entries")]
    assert scans
    assert all(step.endswith(partial) for step in scans)


def test_new_entries_are_found_from_the_last_one_on(explaining: Explaining) -> None:
    queue.new_since(explaining, 15)  # type: ignore[arg-type]
    assert explaining.plan[0] == "SEARCH entries USING INTEGER PRIMARY KEY (rowid>?)"


def test_the_claim_uses_its_index_to_the_full(explaining: Explaining) -> None:
    claim(explaining)
    step = "SEARCH entries USING INDEX entries_waiting (domain=? AND priority=? AND due_at<?)"
    assert explaining.plan.count(step) == 2  # once for each priority
