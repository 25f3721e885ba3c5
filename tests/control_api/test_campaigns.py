"""Campaigns over HTTP, and the task that sends them, step by step."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from control_api import campaign_letter
from control_api.campaign_payload import MAX_RECIPIENTS, MAX_TESTS
from control_api.schemas import campaigns as schemas
from mta.core import ids
from mta.core.access import Access
from mta.core.campaign import Brakes, CampaignStatus
from storage import campaign_turns, retention
from storage.campaigns import CampaignRecord
from storage.database import Connection
from storage.entries import EntryState
from tests.control_api.campaigning import CAMPAIGNS, DRAFT, Campaigning
from tests.control_api.conftest import Api

ANT, BEE, ELK = "ant@example.net", "bee@example.net", "elk@example.org"
UNKNOWN = "cmp_01KJMQ0R000000000000000777"
SECRET_TENANT = 2


@pytest.fixture
def desk(api: Api) -> Campaigning:
    return Campaigning(api)


class TestDraft:
    async def test_is_shown_as_it_was_given(self, desk: Campaigning) -> None:
        audience = await desk.audience(ANT)
        made = await desk.ok(
            "POST",
            CAMPAIGNS,
            DRAFT | {"audience_id": audience, "segment": {"tag": "vip"}, "tags": {"kind": "news"}},
        )
        assert made | {"id": "", "created_at": "", "updated_at": ""} == {
            "object": "campaign",
            "id": "",
            "name": "Spring",
            "audience_id": audience,
            "segment": {"tag": "vip", "opened": None, "clicked": None},
            "from": {"email": "shop@sender.example", "name": "Shop"},
            "reply_to": [],
            "subject": DRAFT["subject"],
            "html": DRAFT["html"],
            "text": None,
            "template": None,
            "variables": {},
            "tracking": {"opens": False, "clicks": False},
            "tags": {"kind": "news"},
            "send_at": None,
            "send_once_key": None,
            "status": "draft",
            "channel": "email",
            "total_recipients": None,
            "pause_reason": None,
            "test": False,
            "created_at": "",
            "updated_at": "",
            "started_at": None,
            "completed_at": None,
            "counts": dict.fromkeys(made["counts"], 0),
        }
        assert await desk.ok("GET", f"{CAMPAIGNS}/{made['id']}") == made

    async def test_takes_what_the_audience_says(self, desk: Campaigning) -> None:
        made = await desk.ok(
            "POST",
            "/v1/audiences",
            {
                "name": "News",
                "from_email": "news@sender.example",
                "from_name": "News",
                "reply_to": "desk@sender.example",
                "default_subject": "This week",
            },
        )
        body = {"name": "n", "audience_id": made["id"], "text": "Hi"}
        found = await desk.ok("POST", CAMPAIGNS, body)
        assert found["from"] == {"email": "news@sender.example", "name": "News"}
        assert found["reply_to"] == [{"email": "desk@sender.example", "name": None}]
        assert found["subject"] == "This week"

    async def test_changes_only_what_is_given(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT], tracking=True)
        changed = await desk.ok("PATCH", path, {"subject": "Another"})
        assert (changed["subject"], changed["tracking"]) == (
            "Another",
            {"opens": True, "clicks": True},
        )
        assert changed["total_recipients"] == 1
        template = await desk.ok("POST", "/v1/templates", {"name": "t", "text": "x"})
        changed = await desk.ok("PATCH", path, {"template": {"id": template["id"]}})
        assert (changed["html"], changed["template"]["id"]) == (None, template["id"])
        changed = await desk.ok("PATCH", path, {"recipients": [ANT, BEE, ANT]})
        assert changed["total_recipients"] == 2

    async def test_pages_by_status(self, desk: Campaigning) -> None:
        paths = [await desk.campaign(recipients=[ANT]) for _ in range(3)]
        await desk.ok("POST", f"{paths[0]}/send")
        first = await desk.ok("GET", f"{CAMPAIGNS}?limit=2&include=total")
        assert [one["id"] for one in first["data"]] == [path[14:] for path in paths[:0:-1]]
        assert (first["total"], first["has_more"]) == (3, True)
        second = await desk.ok("GET", f"{CAMPAIGNS}?limit=2&page=2")
        assert [one["id"] for one in second["data"]] == [paths[0][14:]]
        drafts = await desk.ok("GET", f"{CAMPAIGNS}?status=draft&include=total")
        assert (len(drafts["data"]), drafts["total"]) == (2, 2)

    async def test_is_deleted_and_then_gone(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT])
        assert (await desk.ok("DELETE", path))["deleted"]
        assert (await desk.ask("GET", path)).status == 404
        assert (await desk.ok("DELETE", path))["deleted"]

    def test_words_are_those_of_the_document(self) -> None:
        assert list(schemas.STATUSES) == [one.value for one in CampaignStatus]


class TestSending:
    async def test_everybody_has_one_email_of_the_own(self, desk: Campaigning) -> None:
        people = [
            {"email": ANT, "name": "Ant", "properties": {"city": "Rome"}},
            {"email": BEE, "name": "Bee", "properties": {"city": "Bonn"}},
        ]
        path = await desk.sent(
            audience_id=await desk.audience(*people), subject="{{ name }} of {{ city }}"
        )
        await desk.advance()
        found = await desk.ok("GET", f"/v1/emails?campaign_id={path[14:]}")
        assert sorted(one["subject"] for one in found["data"]) == ["Ant of Rome", "Bee of Bonn"]
        assert {one["campaign_id"] for one in found["data"]} == {path[14:]}
        assert desk.recipients() == [ANT, BEE]
        assert desk.api.kicks

    async def test_mail_offers_a_way_out_of_the_list(self, desk: Campaigning) -> None:
        audience = await desk.audience(ANT)
        await desk.sent(audience_id=audience)
        await desk.advance()
        [(offer, priority)] = desk.api.database.read_now(
            lambda db: db.execute(
                "SELECT m.unsubscribe ->> 'scope', e.priority FROM messages m"
                " JOIN entries e ON e.message_id = m.id"
            ).fetchall()
        )
        assert (offer, priority) == (audience, 1)

    async def test_ends_when_everything_was_tried(self, desk: Campaigning) -> None:
        path = await desk.sent(recipients=[ANT, BEE])
        await desk.advance()
        assert (await desk.ok("GET", path))["status"] == "sending"
        desk.deliver()
        await desk.advance()
        shown = await desk.ok("GET", path)
        assert (shown["status"], shown["total_recipients"]) == ("completed", 2)
        assert shown["counts"]["delivered"] == shown["counts"]["sent"] == 2
        told = await desk.events("campaign.started", "campaign.completed")
        assert [one["type"] for one in told] == ["campaign.started", "campaign.completed"]
        assert told[0]["data"]["campaign"] == {"id": path[14:], "name": "Spring"}
        assert desk.told

    async def test_what_is_deferred_does_not_keep_it_from_ending(self, desk: Campaigning) -> None:
        path = await desk.sent(recipients=[ANT])
        await desk.advance()
        desk.deliver("deferred")
        await desk.advance()
        shown = await desk.ok("GET", path)
        assert (shown["status"], shown["counts"]["queued"]) == ("completed", 1)

    async def test_nobody_to_send_to_is_an_end_too(self, desk: Campaigning) -> None:
        path = await desk.sent(audience_id=await desk.audience())
        await desk.advance()
        shown = await desk.ok("GET", path)
        assert (shown["status"], shown["total_recipients"]) == ("completed", 0)

    async def test_goes_on_in_steps_where_it_stopped(self, desk: Campaigning) -> None:
        people = [f"p{number}@example.net" for number in range(600)]
        path = await desk.sent(recipients=[*people, "p1@EXAMPLE.net"])
        await desk.sender.advance()
        assert len(desk.recipients()) == 250
        desk.sender = Campaigning(desk.api).sender  # as after a restart
        await desk.advance()
        assert desk.recipients() == people
        assert (await desk.ok("GET", path))["total_recipients"] == 600

    async def test_rests_while_enough_waits(
        self, desk: Campaigning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("control_api.campaign_expansion.MAX_DEPTH", 300)
        await desk.sent(recipients=[f"p{number}@example.net" for number in range(900)])
        await desk.advance()
        assert len(desk.recipients()) == 500
        desk.api.clock.advance(minutes=6)  # what waits so long is no reason: its site is down
        await desk.advance()
        assert len(desk.recipients()) == 900

    async def test_joining_late_and_leaving_early_count(self, desk: Campaigning) -> None:
        people = [f"p{number}@example.net" for number in range(300)]
        audience = await desk.audience(*people)
        path = await desk.sent(audience_id=audience)
        await desk.sender.advance()
        desk.api.clock.advance(seconds=1)
        members = f"/v1/audiences/{audience}/contacts"
        await desk.ok("POST", members, {"email": ANT})
        await desk.ok("POST", f"{members}/p270@example.net/unsubscribe")
        await desk.ok("DELETE", f"{members}/p280@example.net")
        await desk.advance()
        expected = [one for one in people if one not in ("p270@example.net", "p280@example.net")]
        assert desk.recipients() == expected
        desk.deliver()
        await desk.advance()
        shown = await desk.ok("GET", path)
        assert (shown["total_recipients"], shown["counts"]["skipped"]) == (299, 1)

    async def test_only_the_segment_gets_it(self, desk: Campaigning) -> None:
        audience = await desk.audience({"email": ANT, "tags": ["vip"]}, BEE)
        path = await desk.sent(audience_id=audience, segment={"tag": "vip"})
        assert (await desk.ok("GET", path))["total_recipients"] == 1
        await desk.advance()
        assert desk.recipients() == [ANT]

    async def test_suppressed_addresses_are_counted(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT, BEE])
        await desk.ok("POST", "/v1/suppressions", {"email": BEE})
        await desk.ok("POST", f"{path}/send")
        await desk.advance()
        counts = (await desk.ok("GET", path))["counts"]
        assert (counts["suppressed"], counts["queued"]) == (1, 1)
        assert desk.states() == [EntryState.WAITING, EntryState.SUPPRESSED]

    async def test_who_lacks_a_variable_is_skipped_with_the_reason(self, desk: Campaigning) -> None:
        people = [{"email": ANT, "variables": {"city": "Rome"}}, BEE]
        path = await desk.sent(recipients=people, subject="{{ city }}")
        await desk.advance()
        assert desk.recipients() == [ANT]
        [one] = (await desk.ok("GET", f"{path}/recipients?status=skipped"))["data"]
        assert (one["email"], one["reason"]) == (BEE, "missing_variable")
        assert one["detail"] == "The template needs a value for city."

    async def test_a_key_for_once_holds_over_campaigns(self, desk: Campaigning) -> None:
        await desk.sent(recipients=[ANT], send_once_key="launch")
        await desk.advance()
        path = await desk.sent(recipients=[ANT, BEE], send_once_key="launch")
        await desk.advance()
        assert desk.recipients() == [ANT, BEE]
        [one] = (await desk.ok("GET", f"{path}/recipients?status=skipped"))["data"]
        assert (one["email"], one["reason"]) == (ANT, "sent_before")

    async def test_starts_at_its_time(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT])
        shown = await desk.ok("POST", f"{path}/send", {"send_at": "in 2 hours"})
        assert (shown["status"], shown["send_at"]) == ("scheduled", "2026-03-01T14:00:00.000Z")
        await desk.advance()
        assert desk.recipients() == []
        desk.api.clock.advance(hours=3)
        await desk.advance()
        assert desk.recipients() == [ANT]

    async def test_a_published_version_is_kept_while_it_goes_out(self, desk: Campaigning) -> None:
        body = {"name": "t", "subject": "one", "text": "one"}
        template = await desk.ok("POST", "/v1/templates", body)
        one = f"/v1/templates/{template['id']}"
        await desk.ok("POST", f"{one}/publish")
        fields = {"template": {"id": template["id"]}, "subject": None, "html": None}
        await desk.sent(**fields, recipients=[f"p{number}@example.net" for number in range(300)])
        await desk.sender.advance()
        await desk.ok("PATCH", one, {"subject": "two", "text": "two"})
        await desk.ok("POST", f"{one}/publish")
        await desk.advance()
        found = await desk.ok("GET", "/v1/emails?limit=500&page=1")
        assert {email["subject"] for email in found["data"]} == {"one"}
        assert len(found["data"]) == 300

    async def test_a_template_that_is_gone_pauses_it(self, desk: Campaigning) -> None:
        template = await desk.ok("POST", "/v1/templates", {"name": "t", "text": "one"})
        await desk.ok("POST", f"/v1/templates/{template['id']}/publish")
        fields = {"template": {"id": template["id"]}, "html": None, "recipients": [ANT]}
        path = await desk.sent(**fields)
        await desk.ok("DELETE", f"/v1/templates/{template['id']}")
        await desk.advance()
        shown = await desk.ok("GET", path)
        assert (shown["status"], shown["pause_reason"]) == ("paused", "not_found")

    async def test_slow_letters_of_one_do_not_hold_up_the_others(self, desk: Campaigning) -> None:
        desk.sender = Campaigning(desk.api, patience=0).sender
        paths = [await desk.sent(recipients=[ANT, BEE, ELK]) for _ in range(2)]
        for number in (1, 2):
            await desk.sender.advance()
            for path in paths:
                assert (await desk.ok("GET", path))["counts"]["queued"] == number
        await desk.advance()
        assert sorted(desk.recipients()) == sorted([ANT, BEE, ELK] * 2)

    async def test_a_fault_of_ours_pauses_it_and_nobody_loses_the_turn(
        self, desk: Campaigning
    ) -> None:
        def broken(size: int) -> bytes:
            if size == 10:  # for the id of an email
                raise RuntimeError("nobody expected this")
            return os.urandom(size)

        path = await desk.sent(recipients=[ANT, BEE])
        whole, desk.sender = desk.sender, Campaigning(desk.api, entropy=broken).sender
        await desk.advance()
        shown = await desk.ok("GET", path)
        assert (shown["status"], shown["pause_reason"]) == ("paused", "internal_error")
        assert shown["counts"]["skipped"] == 0
        desk.sender = whole
        await desk.ok("POST", f"{path}/resume")
        await desk.advance()
        assert len(desk.recipients()) == 2

    @pytest.mark.parametrize("what", ["material", "next_turns"])
    async def test_one_that_we_fail_at_is_paused_and_the_others_go_on(
        self, desk: Campaigning, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        module = {"material": campaign_letter, "next_turns": campaign_turns}[what]
        real = getattr(module, what)

        def fail(connection: Connection, campaign: CampaignRecord, **more: Any) -> Any:
            if f"/v1/campaigns/{campaign.id}" == first:
                raise LookupError("nobody expected this")
            return real(connection, campaign, **more)

        first = await desk.sent(recipients=[ANT])
        second = await desk.sent(recipients=[BEE])
        monkeypatch.setattr(module, what, fail)
        await desk.advance()
        shown = await desk.ok("GET", first)
        assert (shown["status"], shown["pause_reason"]) == ("paused", "internal_error")
        assert (await desk.ok("GET", second))["counts"]["queued"] == 1
        monkeypatch.undo()
        await desk.ok("POST", f"{first}/resume")
        await desk.advance()
        assert sorted(desk.recipients()) == sorted([ANT, BEE])

    async def test_a_damaged_one_leaves_the_others_alone(self, desk: Campaigning) -> None:
        first = await desk.sent(recipients=[ANT])
        second = await desk.sent(recipients=[BEE])
        number = ids.number_of(first.rpartition("/")[2], "cmp")
        await desk.api.database.write(
            lambda db: db.execute("UPDATE campaigns SET content = '{' WHERE id = ?", (number,))
        )
        await desk.advance()
        assert (await desk.ok("GET", second))["counts"]["queued"] == 1

    async def test_a_test_key_sends_to_the_sandbox(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT])
        key = desk.api.new_key(access=Access(is_test=True))
        reply = await desk.api.client_with(key).post(f"{path}/send")
        assert reply.json["test"] is True
        await desk.advance()
        [(is_test,)] = desk.api.database.read_now(
            lambda db: db.execute("SELECT is_test FROM messages").fetchall()
        )
        assert is_test


class TestStopping:
    async def test_pausing_holds_and_resuming_releases(self, desk: Campaigning) -> None:
        people = [f"p{number}@example.net" for number in range(300)]
        path = await desk.sent(recipients=people)
        await desk.sender.advance()
        paused = await desk.ok("POST", f"{path}/pause")
        assert (paused["status"], paused["pause_reason"]) == ("paused", "requested")
        assert set(desk.states()) == {EntryState.HELD}
        await desk.advance()
        assert len(desk.recipients()) == 250
        await desk.ok("PATCH", path, {"subject": "Changed"})
        resumed = await desk.ok("POST", f"{path}/resume")
        assert (resumed["status"], resumed["pause_reason"]) == ("sending", None)
        assert set(desk.states()) == {EntryState.WAITING}
        await desk.advance()
        assert desk.recipients() == people
        told = await desk.events("campaign.paused")
        assert told[0]["data"]["reason"] == "requested"

    async def test_what_is_claimed_is_to_come_back(self, desk: Campaigning) -> None:
        path = await desk.sent(recipients=[ANT])
        await desk.advance()
        desk.api.database.write_now(lambda db: db.execute("UPDATE entries SET state = 1"))
        await desk.ok("POST", f"{path}/pause")
        [(wish, kind)] = desk.api.database.read_now(
            lambda db: db.execute(
                "SELECT wish, (SELECT kind FROM directives ORDER BY id DESC LIMIT 1) FROM entries"
            ).fetchall()
        )
        assert (wish, kind) == (EntryState.HELD, "campaign_held")

    @pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
    async def test_what_was_interrupted_is_gone_on_with(
        self, desk: Campaigning, monkeypatch: pytest.MonkeyPatch, action: str
    ) -> None:
        path = await desk.sent(recipients=[f"p{number}@example.net" for number in range(100)])
        await desk.advance()
        if action == "resume":
            await desk.ok("POST", f"{path}/pause")
        monkeypatch.setattr("storage.campaign_queue.STEP", 30)
        with monkeypatch.context() as crashing:
            crashing.setattr("control_api.campaign_work.START", None)
            await desk.ok("POST", f"{path}/{action}")
        state = {"pause": EntryState.HELD, "cancel": EntryState.CANCELED}
        assert state.get(action, EntryState.WAITING) not in desk.states()
        await desk.sender.sweep()
        assert set(desk.states()) == {state.get(action, EntryState.WAITING)}

    async def test_canceling_ends_what_waits(self, desk: Campaigning) -> None:
        path = await desk.sent(recipients=[f"p{number}@example.net" for number in range(300)])
        await desk.sender.advance()
        shown = await desk.ok("POST", f"{path}/cancel")
        assert (shown["status"], shown["completed_at"] is None) == ("canceled", False)
        await desk.advance()
        assert desk.states() == [EntryState.CANCELED] * 250
        counts = (await desk.ok("GET", path))["counts"]
        assert (counts["canceled"], counts["queued"]) == (250, 0)

    async def test_deleting_a_paused_one_leaves_nothing_held(self, desk: Campaigning) -> None:
        path = await desk.sent(recipients=[ANT])
        await desk.advance()
        await desk.ok("POST", f"{path}/pause")
        assert (await desk.ok("DELETE", path))["deleted"]
        assert desk.states() == [EntryState.CANCELED]
        found = await desk.ok("GET", "/v1/emails")
        assert found["data"][0]["campaign_id"] is None

    async def test_a_scheduled_one_pauses_and_starts_later(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT], send_at="in 1 hour")
        await desk.ok("POST", f"{path}/send")
        assert (await desk.ok("POST", f"{path}/pause"))["status"] == "paused"
        desk.api.clock.advance(hours=2)
        await desk.advance()
        assert desk.recipients() == []
        assert (await desk.ok("POST", f"{path}/resume"))["status"] == "scheduled"
        await desk.advance()
        assert desk.recipients() == [ANT]

    async def test_bounces_pause_it_once(
        self, desk: Campaigning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("control_api.campaign_expansion.CHECK", 0.0)
        desk = Campaigning(desk.api, Brakes(0.08, 0.003, 10))
        path = await desk.sent(recipients=[f"p{number}@example.net" for number in range(300)])
        await desk.sender.advance()
        desk.deliver("bounced", 20)
        await desk.advance()
        shown = await desk.ok("GET", path)
        assert (shown["status"], shown["pause_reason"]) == ("paused", "bounce_rate")
        [told] = await desk.events("campaign.paused")
        assert told["data"]["reason"] == "bounce_rate"
        await desk.ok("POST", f"{path}/resume")
        await desk.advance()
        assert len(desk.recipients()) == 300

    @pytest.mark.parametrize(
        ("action", "status"),
        [
            ("pause", "draft"),
            ("resume", "draft"),
            ("cancel", "draft"),
            ("send", "sending"),
            ("resume", "sending"),
            ("launch", "paused"),
            ("pause", "paused"),
            ("run", "canceled"),
        ],
    )
    async def test_what_does_not_fit_the_status_is_refused(
        self, desk: Campaigning, action: str, status: str
    ) -> None:
        path = await desk.campaign(recipients=[ANT])
        for step in {"sending": ["send"], "paused": ["send", "pause"]}.get(status, []):
            await desk.ok("POST", f"{path}/{step}")
        if status == "canceled":
            await desk.ok("POST", f"{path}/send")
            await desk.ok("POST", f"{path}/cancel")
        reply = await desk.ask("POST", f"{path}/{action}")
        assert (reply.status, reply.json["code"]) == (409, "invalid_state")

    async def test_one_that_is_sending_is_neither_changed_nor_deleted(
        self, desk: Campaigning
    ) -> None:
        path = await desk.sent(recipients=[ANT])
        changed = await desk.ask("PATCH", path, {"name": "x"})
        assert (changed.status, changed.json["code"]) == (409, "invalid_state")
        deleted = await desk.ask("DELETE", path)
        assert (deleted.status, deleted.json["code"]) == (409, "conflict")
        await desk.ok("POST", f"{path}/pause")
        moved = await desk.ask("PATCH", path, {"recipients": [BEE]})
        assert (moved.status, moved.json["code"]) == (409, "invalid_state")

    async def test_a_repeated_request_is_carried_out_once(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT])
        head = {"Idempotency-Key": "k"}
        first = await desk.client.request("POST", f"{path}/send", headers=head)
        again = await desk.client.request("POST", f"{path}/send", headers=head)
        assert (first.status, again.status, again.json) == (200, 200, first.json)


class TestForgetting:
    async def test_a_contact_that_is_deleted_is_in_no_list(self, desk: Campaigning) -> None:
        people = [{"email": ANT, "variables": {"city": "Rome"}}, BEE]
        for once_key in ("one", "two"):
            await desk.sent(recipients=people, subject="{{ city }}", send_once_key=once_key)
        await desk.advance()
        for email in (ANT, BEE):
            made = await desk.ok("POST", "/v1/contacts", {"email": email})
            await desk.ok("DELETE", f"/v1/contacts/{made['id']}")
        for table in ("campaign_recipients", "campaign_skips", "campaign_keys"):
            assert desk.api.count(table) == 0

    async def test_what_others_know_of_the_address_stays(self, desk: Campaigning) -> None:
        other = desk.api.client_with(desk.api.new_key(SECRET_TENANT))
        body = DRAFT | {"recipients": [ANT]}
        assert (await other.post(CAMPAIGNS, body)).status == 200
        made = await desk.ok("POST", "/v1/contacts", {"email": ANT})
        await desk.ok("DELETE", f"/v1/contacts/{made['id']}")
        assert desk.api.count("campaign_recipients") == 1

    async def test_logs_end_with_the_events(self, desk: Campaigning) -> None:
        path = await desk.sent(recipients=[ANT])
        await desk.advance()
        desk.deliver("bounced")
        assert len((await desk.ok("GET", f"{path}/logs/bounce"))["data"]) == 1
        later = desk.api.clock() + timedelta(days=300)
        prune = partial(retention.prune, bodies_before=later, events_before=later, limit=100)
        desk.api.database.write_now(prune)
        assert desk.api.count("campaign_log") == 0
        assert (await desk.ok("GET", path))["counts"]["bounced"] == 1


class TestTrial:
    async def test_goes_to_those_who_look_first(self, desk: Campaigning) -> None:
        people = [{"email": ANT, "name": "Ant", "variables": {"city": "Rome"}}]
        path = await desk.campaign(recipients=people, subject="{{ name }}, {{ city }}")
        made = await desk.ok(
            "POST", f"{path}/test", {"to": [BEE, ELK], "variables": {"city": "Bonn"}}
        )
        assert [one["to"] for one in made["emails"]] == [BEE, ELK]
        shown = await desk.ok("GET", f"/v1/emails/{made['emails'][0]['id']}")
        assert (shown["subject"], shown["campaign_id"]) == ("Ant, Bonn", None)
        assert (await desk.ok("GET", path))["status"] == "draft"


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "field", "code"),
        [
            ({"name": None}, "name", "required"),
            ({"name": 7}, "name", "invalid_type"),
            ({"name": "x" * 257}, "name", "too_long"),
            ({"from": None}, "from", "required"),
            ({"from": "nobody"}, "from", "invalid_address"),
            ({"from": 7}, "from", "invalid_type"),
            ({"reply_to": "x"}, "reply_to", "invalid_address"),
            ({"subject": "a\nb"}, "subject", "invalid_text"),
            ({"subject": "x" * 999}, "subject", "too_long"),
            ({"html": 7}, "html", "invalid_type"),
            ({"html": "x" * 262_145}, "html", "too_long"),
            ({"template": {"id": "tpl_x"}}, "html", "conflict"),
            ({"template": "x", "html": None}, "template", "invalid_type"),
            ({"recipients": []}, "audience_id", "required"),
            ({"recipients": "x"}, "recipients", "invalid_type"),
            ({"recipients": ["x"]}, "recipients[0]", "invalid_address"),
            ({"recipients": [{"email": ANT, "x": 1}]}, "recipients[0].x", "unknown_field"),
            ({"recipients": [ANT] * (MAX_RECIPIENTS + 1)}, "recipients", "too_many"),
            ({"audience_id": "aud_x"}, "recipients", "conflict"),
            ({"audience_id": "aud_x", "recipients": None}, "audience_id", "not_found"),
            ({"segment": {"tag": "x"}}, "segment", "conflict"),
            ({"segment": {"opened": "x"}}, "segment.opened", "invalid_type"),
            ({"segment": []}, "segment", "invalid_type"),
            ({"variables": []}, "variables", "invalid_type"),
            ({"tracking": "x"}, "tracking", "invalid_type"),
            ({"send_at": "soon"}, "send_at", "invalid_time"),
            ({"send_at": "in 60 days"}, "send_at", "too_far"),
            ({"send_once_key": "x" * 101}, "send_once_key", "too_long"),
            ({"channel": "fax"}, "channel", "invalid_value"),
            ({"no_such": 1}, "no_such", "unknown_field"),
            ({"html": "{% if %}"}, "html", "invalid_template"),
            ({"html": "{{ x | no_such }}"}, "html", "invalid_template"),
            ({"html": None, "subject": "{{ x"}, "subject", "invalid_template"),
            ({"html": None, "template": {"id": "tpl_x"}}, "template.id", "not_found"),
        ],
    )
    async def test_bodies(
        self, desk: Campaigning, change: dict[str, Any], field: str, code: str
    ) -> None:
        reply = await desk.ask("POST", CAMPAIGNS, DRAFT | {"recipients": [ANT]} | change)
        assert reply.status == 422, reply.body
        assert (field, code) in [(one["field"], one["code"]) for one in reply.json["errors"]]

    async def test_sms_needs_a_gateway(self, desk: Campaigning) -> None:
        body = DRAFT | {"recipients": [ANT], "channel": "sms"}
        reply = await desk.ask("POST", CAMPAIGNS, body)
        assert (reply.status, reply.json["code"]) == (422, "channel_not_configured")

    async def test_everything_that_is_missing_is_told_at_once(self, desk: Campaigning) -> None:
        reply = await desk.ask("POST", CAMPAIGNS, {"subject": 7})
        assert [(one["field"], one["code"]) for one in reply.json["errors"]] == [
            ("name", "required"),
            ("subject", "invalid_type"),
            ("from", "required"),
            ("audience_id", "required"),
        ]
        path = await desk.campaign(recipients=[ANT])
        reply = await desk.ask("POST", f"{path}/test", {"x": 1})
        assert [one["field"] for one in reply.json["errors"]] == ["x", "to"]

    async def test_what_is_no_liquid_does_not_change_a_draft(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT])
        reply = await desk.ask("PATCH", path, {"subject": "{{", "text": "{{ x"})
        assert [one["field"] for one in reply.json["errors"]] == ["subject", "text"]
        assert (await desk.ok("GET", path))["text"] is None

    async def test_messages_about_addresses_are_sentences(self, desk: Campaigning) -> None:
        body = DRAFT | {"recipients": [{"email": "nobody"}]}
        reply = await desk.ask("POST", CAMPAIGNS, body)
        assert [one["message"] for one in reply.json["errors"]] == ["The address has no domain."]

    async def test_what_nobody_could_get_is_not_sent(self, desk: Campaigning) -> None:
        path = await desk.campaign(recipients=[ANT], html="{{ nobody_has_this }}")
        reply = await desk.ask("POST", f"{path}/send")
        assert reply.status == 422, reply.body
        assert (await desk.ok("GET", path))["status"] == "draft"

    async def test_a_server_without_a_page_to_leave_at_sends_none(self, api: Api) -> None:
        made = await api.client.post(CAMPAIGNS, DRAFT | {"recipients": [ANT]})
        reply = await api.client.post(f"{CAMPAIGNS}/{made.json['id']}/send")
        assert reply.status == 422
        assert reply.json["errors"][0]["code"] == "not_configured"

    async def test_domains_of_others_are_not_used(self, desk: Campaigning) -> None:
        key = desk.api.new_key(access=Access(domains=("other.example",)))
        reply = await desk.api.client_with(key).post(CAMPAIGNS, DRAFT | {"recipients": [ANT]})
        assert reply.status == 403
        strict = desk.api.with_settings(
            policy=replace(desk.api.settings.policy, require_verified_domain=True)
        )
        made = await strict.client.post(CAMPAIGNS, DRAFT | {"recipients": [ANT]})
        sent = await strict.client.post(f"{CAMPAIGNS}/{made.json['id']}/send")
        assert (sent.status, sent.json["code"]) == (403, "domain_not_verified")

    @pytest.mark.parametrize("body", [{}, {"to": []}, {"to": "x"}, {"to": [ANT] * (MAX_TESTS + 1)}])
    async def test_trials_without_a_good_address(self, desk: Campaigning, body: Any) -> None:
        path = await desk.campaign(recipients=[ANT])
        assert (await desk.ask("POST", f"{path}/test", body)).status == 422

    @pytest.mark.parametrize(
        ("method", "tail", "body"),
        [
            ("GET", "", None),
            ("PATCH", "", {"name": "x"}),
            ("POST", "/send", None),
            ("POST", "/pause", None),
            ("POST", "/resume", None),
            ("POST", "/cancel", None),
            ("POST", "/test", {"to": [ANT]}),
            ("GET", "/stats", None),
            ("GET", "/recipients", None),
            ("GET", "/logs/open", None),
        ],
    )
    async def test_those_of_others_are_not_there(
        self, desk: Campaigning, method: str, tail: str, body: Any
    ) -> None:
        path = await desk.campaign(recipients=[ANT])
        stranger = desk.api.client_with(desk.api.new_key(SECRET_TENANT))
        for target in (path, f"{CAMPAIGNS}/{UNKNOWN}", f"{CAMPAIGNS}/x"):
            client = stranger if target == path else desk.client
            data = (
                b""
                if body is None
                else b'{"name": "x"}'
                if not tail
                else b'{"to": ["a@b.example"]}'
            )
            reply = await client.request(method, f"{target}{tail}", body=data)
            assert (reply.status, reply.json["code"]) == (404, "not_found")
        assert (await desk.ok("GET", path))["status"] == "draft"
        assert (await stranger.get(CAMPAIGNS)).json["data"] == []
        assert (await stranger.delete(path)).json["deleted"]
        assert (await desk.ok("GET", path))["status"] == "draft"
