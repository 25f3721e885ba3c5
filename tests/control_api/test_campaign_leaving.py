"""Who leaves after the turn: what waits of a campaign is not sent any more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mta.core.disposition import Why
from storage import campaign_people, campaign_turns, campaigns, queue, unsubscribes
from storage.campaign_turns import Made
from storage.claims import Claim
from storage.database import Connection
from storage.entries import EntryState
from storage.submissions import AcceptPolicy
from tests.control_api.campaigning import AUDIENCES, Campaigning
from tests.control_api.conftest import Api
from tests.storage import builders

ANT, BEE = "ant@example.net", "bee@example.net"
WAITING, CLAIMED = EntryState.WAITING.value, EntryState.CLAIMED.value
SUPPRESSED, CANCELED = EntryState.SUPPRESSED.value, EntryState.CANCELED.value


@pytest.fixture
def desk(api: Api) -> Campaigning:
    return Campaigning(api)


async def queued(desk: Campaigning) -> tuple[str, str]:
    """Queue a campaign to two people; return its path, and that of its audience."""
    audience = await desk.audience(ANT, BEE)
    path = await desk.sent(audience_id=audience)
    await desk.advance(3)
    assert desk.states() == [WAITING, WAITING]
    return path, f"{AUDIENCES}/{audience}"


def claim(desk: Campaigning) -> list[int]:
    """Let the engine have all that is due; return the entries."""

    def act(connection: Connection) -> Claim:
        requests = [queue.ClaimRequest(one.domain, 100) for one in queue.schedule(connection)]
        return queue.claim(connection, requests, now=desk.api.clock(), owner="t")

    found = desk.api.database.write_now(act)
    return [entry.id for message in found.messages for entry in message.entries]


def give_back(desk: Campaigning, entries: list[int]) -> None:
    later = desk.api.clock() + timedelta(hours=1)
    desk.api.database.write_now(
        lambda db: queue.give_back(db, entries, due_at=later, why=Why.SITE_BUSY)
    )


@pytest.mark.parametrize(
    ("method", "rest", "body", "state"),
    [
        ("POST", f"/contacts/{ANT}/unsubscribe", None, SUPPRESSED),
        ("PATCH", f"/contacts/{ANT}", {"status": "unsubscribed"}, SUPPRESSED),
        ("PATCH", f"/contacts/{ANT}", {"status": "blocked"}, CANCELED),
        ("PATCH", f"/contacts/{ANT}", {"status": "complained"}, CANCELED),
        ("PATCH", f"/contacts/{ANT}", {"status": "unconfirmed"}, CANCELED),
        ("DELETE", f"/contacts/{ANT}", None, CANCELED),
    ],
)
async def test_who_is_no_member_any_more_gets_nothing(
    desk: Campaigning, method: str, rest: str, body: object, state: int
) -> None:
    path, audience = await queued(desk)
    await desk.ok(method, f"{audience}{rest}", body)
    assert desk.states() == [state, WAITING]
    desk.deliver()
    counts = (await desk.ok("GET", path))["counts"]
    assert (counts["delivered"], counts["suppressed"] + counts["canceled"]) == (1, 1)


async def test_what_the_engine_has_is_called_back(desk: Campaigning) -> None:
    _, audience = await queued(desk)
    entries = claim(desk)
    await desk.ok("POST", f"{audience}/contacts/{ANT}/unsubscribe")
    await desk.ok("PATCH", f"{audience}/contacts/{BEE}", {"status": "blocked"})
    assert desk.states() == [CLAIMED, CLAIMED]
    give_back(desk, entries)
    assert desk.states() == [SUPPRESSED, CANCELED]


async def test_who_is_back_before_it_returns_gets_it(desk: Campaigning) -> None:
    _, audience = await queued(desk)
    entries = claim(desk)
    await desk.ok("POST", f"{audience}/contacts/{ANT}/unsubscribe")
    await desk.ok("POST", f"{audience}/contacts/{ANT}/subscribe")
    give_back(desk, entries)
    assert desk.states() == [WAITING, WAITING]


async def test_one_click_ends_what_waits_of_that_list_only(desk: Campaigning) -> None:
    await queued(desk)
    other = await desk.audience(ANT)
    await desk.sent(audience_id=other)
    await desk.sent(recipients=[ANT])
    await desk.advance(6)
    assert desk.recipients() == [ANT, BEE, ANT, ANT]

    def act(connection: Connection) -> bool:
        target = unsubscribes.find(connection, 1, 1, None)
        assert target is not None
        return unsubscribes.unsubscribe(connection, target, via="one_click", now=desk.api.clock())

    assert desk.api.database.write_now(act)
    assert desk.states() == [SUPPRESSED, WAITING, WAITING, WAITING]


async def test_a_contact_that_is_forgotten_gets_no_campaign_but_other_mail(
    desk: Campaigning,
) -> None:
    await queued(desk)
    await desk.sent(recipients=[ANT])
    await desk.advance(6)
    mail = {"from": "shop@sender.example", "to": ANT, "subject": "Order", "text": "Thanks"}
    await desk.ok("POST", "/v1/emails", mail)
    await desk.ok("DELETE", f"/v1/contacts/{ANT}")
    assert desk.recipients() == [ANT, BEE, ANT, ANT]
    assert desk.states() == [CANCELED, WAITING, CANCELED, WAITING]


class TestAudienceThatGoes:
    async def test_it_stays_while_a_campaign_goes_to_it(self, desk: Campaigning) -> None:
        path, audience = await queued(desk)
        reply = await desk.ask("DELETE", audience)
        assert (reply.status, reply.json["code"]) == (409, "conflict")
        assert (await desk.ok("GET", audience))["total"] == 2
        await desk.ok("POST", f"{path}/cancel")
        await desk.ok("DELETE", audience)

    async def test_without_it_nothing_is_sent_or_resumed(self, desk: Campaigning) -> None:
        path, audience = await queued(desk)
        draft = await desk.campaign(audience_id=audience.rpartition("/")[2])
        await desk.ok("POST", f"{path}/pause")
        await desk.ok("DELETE", audience)
        for refused in (f"{path}/resume", f"{draft}/send"):
            reply = await desk.ask("POST", refused)
            found = [(one["field"], one["code"]) for one in reply.json["errors"]]
            assert (reply.status, found) == (422, [("audience_id", "not_found")])
        assert (await desk.ok("GET", path))["status"] == "paused"


async def test_when_it_started_does_not_change(desk: Campaigning) -> None:
    path, _ = await queued(desk)
    await desk.ok("POST", f"{path}/pause")
    reply = await desk.ask("PATCH", path, {"send_at": "in 5 minutes"})
    assert (reply.status, reply.json["code"]) == (409, "invalid_state")


async def test_what_the_campaign_says_stands_in_for_a_name(desk: Campaigning) -> None:
    nameless = {"email": BEE, "properties": {"name": "Bee"}}
    audience = await desk.audience(ANT, nameless, {"email": "elk@example.org", "name": "Elk"})
    said = {"subject": "Dear {{ name }}", "html": "x"}
    await desk.sent(audience_id=audience, variables={"name": "friend"}, **said)
    await desk.advance(3)
    listed = (await desk.ok("GET", "/v1/emails"))["data"]
    assert [one["subject"] for one in listed] == ["Dear Elk", "Dear Bee", "Dear friend"]
    path = await desk.sent(recipients=[ANT, {"email": BEE, "name": "Bee"}], **said)
    await desk.advance(3)
    [skipped] = (await desk.ok("GET", f"{path}/recipients?status=skipped"))["data"]
    assert (skipped["email"], skipped["reason"]) == (ANT, "missing_variable")


@pytest.mark.parametrize(
    ("method", "body", "reasons"),
    [("PATCH", {"status": "blocked"}, ["blocked"]), ("DELETE", None, [])],
)
async def test_who_leaves_while_mail_is_made_gets_nothing(
    desk: Campaigning, method: str, body: object, reasons: list[str]
) -> None:
    audience = await desk.audience(ANT, BEE)
    path = await desk.sent(audience_id=audience)
    database, now = desk.api.database, desk.api.clock()
    [campaign] = database.read_now(campaigns.at_work)
    turns = database.read_now(lambda db: campaign_turns.next_turns(db, campaign, limit=10))
    made = [
        Made(one.place, one.person.key, builders.submission(one.person.email))
        for one in turns.turns
    ]
    await desk.ok(method, f"{AUDIENCES}/{audience}/contacts/{ANT}", body)
    policy = AcceptPolicy(require_verified_domain=False)
    taken = database.write_now(
        lambda db: campaign_turns.take(db, campaign, turns, made, (), policy=policy, now=now)
    )
    assert taken is not None
    assert len(taken.accepted) == 1
    assert desk.states() == [WAITING]
    skipped = database.read_now(lambda db: campaign_people.skipped(db, campaign, limit=10))
    assert [one.reason for one in skipped] == reasons
    assert (await desk.ok("GET", path))["counts"]["skipped"] == len(reasons)
