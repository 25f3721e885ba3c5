"""Automations at work on a real database, in process: who enters, what steps do, what waits."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_api.automation_posts import Posts
from control_api.automation_runner import AutomationRunner
from control_api.automation_tools import Tools
from control_api.personal_mail import PATIENCE, Composer
from control_api.webhook_message import headers_of
from mta.core import ids
from mta.core.automation_plan import MAX_ENTRIES, WEBHOOK_RETRIES
from storage import automation_people, automation_runs
from storage.database import Connection
from tests.control_api.conftest import Api, parsed
from tests.support.http_receiver import HttpReceiver, hang, status

PATH = "/v1/automations"
HELLO = {
    "name": "hello",
    "subject": "Hello {{ name | default: email }}",
    "text": "{{ data.n | default: 'none' }}.",
}
SENDER = "Shop <shop@sender.example>"


class Rig:
    """An application with a runner that works when it is told to."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.kicks = 0
        self.runner = self.new_runner()
        self.template = self.audience = ""

    def new_runner(self, patience: float = PATIENCE) -> AutomationRunner:
        api = self.api
        composer = Composer(
            api.settings,
            api.tracker,
            api.database.spool,
            now=api.clock,
            entropy=api.services.entropy,
            patience=patience,
        )
        tools = Tools(
            api.database,
            api.http,
            composer,
            self._kick,
            api.clock,
            random.Random(1),
        )
        return AutomationRunner(tools)

    def _kick(self) -> None:
        self.kicks += 1

    async def prepare(self) -> None:
        self.template = (await self.ask("POST", "/v1/templates", HELLO))["id"]
        await self.ask("POST", f"/v1/templates/{self.template}/publish")
        self.audience = (await self.ask("POST", "/v1/audiences", {"name": "News"}))["id"]

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = b"" if body is None else json.dumps(body).encode()
        reply = await self.api.client.request(method, path, body=data)
        assert reply.status in (200, 202), reply.json
        return reply.json

    def send(self, **more: Any) -> dict[str, Any]:
        step = {"type": "send", "template_id": self.template, "from": SENDER, "marketing": False}
        return step | more

    async def make(self, *steps: Any, **more: Any) -> Any:
        wish = {"name": "a", "trigger": {"type": "api"}, "steps": list(steps)}
        return await self.ask("POST", PATH, wish | more)

    async def join(self, email: str, audience: str = "", **more: Any) -> Any:
        path = f"/v1/audiences/{audience or self.audience}/contacts"
        return await self.ask("POST", path, {"email": email} | more)

    async def contact(self, email: str, **more: Any) -> Any:
        return await self.ask("PUT", "/v1/contacts", {"email": email} | more)

    async def execute(self, automation: Any, email: str, data: Any = None) -> str:
        body = {"email": email, "data": data or {}}
        return str((await self.ask("POST", f"{PATH}/{automation['id']}/execute", body))["id"])

    async def work(self) -> datetime | None:
        """Do all that is due; return when something is due next."""
        idle = 0
        while idle < 2:  # a second look: posts of the first may have ended since
            async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                until = await self.runner.turn(group)
            idle = idle + 1 if until is None or until > self.api.clock() else 0
        return until

    async def wait(self, **units: float) -> datetime | None:
        self.api.clock.advance(**units)
        return await self.work()

    async def run(self, automation: Any, run_id: str = "") -> Any:
        runs = f"{PATH}/{automation['id']}/runs"
        run_id = run_id or (await self.ask("GET", runs))["data"][0]["id"]
        return await self.ask("GET", f"{runs}/{run_id}")

    async def counts(self, automation: Any) -> Any:
        found = (await self.ask("GET", f"{PATH}/{automation['id']}"))["counts"]
        return {name: count for name, count in found.items() if count}

    async def mails(self) -> list[str]:
        """Return to whom mail was accepted, oldest first."""
        found = (await self.ask("GET", "/v1/emails?limit=100"))["data"]
        return [one["to"][0] for one in reversed(found)]


@pytest.fixture
async def rig(api: Api) -> Rig:
    rig = Rig(api)
    await rig.prepare()
    await rig.work()
    return rig


def results(run: Any) -> list[tuple[str, str]]:
    return [(one["type"], one["result"]) for one in run["steps"]]


class TestSending:
    async def test_mail_wait_mail(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test", name="Bee")
        made = await rig.make(rig.send(), {"type": "wait", "days": 2}, rig.send(subject="Again"))
        run_id = await rig.execute(made, "bee@dest.test", {"n": 7})
        due = await rig.work()
        assert due == rig.api.clock() + timedelta(days=2)
        run = await rig.run(made, run_id)
        assert results(run) == [("send", "done"), ("wait", "done")]
        mail = parsed(rig.api.stored(run["steps"][0]["email_id"]))
        assert (mail["Subject"], mail["To"]) == ("Hello Bee", "Bee <bee@dest.test>")
        assert mail.get_content().strip() == "7."
        assert run["status"] == "active"
        assert await rig.wait(days=2) is None
        run = await rig.run(made, run_id)
        assert (run["status"], run["next_at"]) == ("completed", None)
        assert len(await rig.mails()) == 2
        assert await rig.counts(made) == {"runs": 1, "completed": 1}
        assert rig.kicks >= 2

    async def test_slow_letters_of_one_do_not_hold_up_the_others(self, rig: Rig) -> None:
        rig.runner = rig.new_runner(patience=0)
        people = [f"p{number}@dest.test" for number in range(3)]
        automations = [await rig.make(rig.send()) for _ in range(2)]
        for email in people:
            await rig.contact(email, name="P")
            for each in automations:
                await rig.execute(each, email, {"n": 7})
        async with asyncio.TaskGroup() as group:
            await rig.runner.turn(group)
        assert len(await rig.mails()) == 2
        await rig.work()
        assert sorted(await rig.mails()) == sorted([f"P <{one}>" for one in people] * 2)
        for each in automations:
            assert await rig.counts(each) == {"runs": 3, "completed": 3}

    async def test_one_that_we_fail_at_rests_and_the_others_go_on(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(connection: Connection, row: int, **more: Any) -> Any:
            if row == 1:
                raise LookupError("nobody expected this")
            return due(connection, row, **more)

        due = automation_runs.due
        monkeypatch.setattr(automation_runs, "due", fail)
        await rig.contact("bee@dest.test", name="Bee")
        made = [await rig.make(rig.send()) for _ in range(2)]
        for each in made:
            await rig.execute(each, "bee@dest.test", {"n": 7})
        until = await rig.work()
        assert "nobody expected this" in caplog.text
        assert [await rig.counts(each) for each in made] == [
            {"runs": 1, "active": 1},
            {"runs": 1, "completed": 1},
        ]
        assert until == rig.api.clock() + timedelta(minutes=1)
        monkeypatch.undo()
        assert await rig.wait(minutes=1) is None
        assert await rig.counts(made[0]) == {"runs": 1, "completed": 1}

    async def test_the_mail_says_of_which_run_it_is(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make(rig.send())
        run_id = await rig.execute(made, "bee@dest.test", {"n": 1})
        await rig.work()
        email_id = (await rig.run(made, run_id))["steps"][0]["email_id"]
        email = await rig.ask("GET", f"/v1/emails/{email_id}")
        assert email["metadata"] == {"automation_id": made["id"], "run_id": run_id}

    async def test_what_the_audience_says_of_the_sender_is_taken(self, rig: Rig) -> None:
        identity = {"from_email": "news@sender.example", "from_name": "News"}
        await rig.ask("PATCH", f"/v1/audiences/{rig.audience}", identity)
        trigger = {"type": "contact.subscribed", "audience_id": rig.audience}
        made = await rig.make(rig.send(**{"from": None}), trigger=trigger)
        await rig.join("bee@dest.test")
        await rig.work()
        run = await rig.run(made)
        mail = parsed(rig.api.stored(run["steps"][0]["email_id"]))
        assert (mail["From"], mail.get_content().strip()) == ("News <news@sender.example>", "none.")
        assert run["audience_id"] == rig.audience

    async def test_a_variable_that_is_missing_ends_the_run(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make(rig.send(subject="For {{ nobody }}"))
        run_id = await rig.execute(made, "bee@dest.test")
        await rig.work()
        run = await rig.run(made, run_id)
        assert (run["status"], results(run)) == ("failed", [("send", "failed")])
        assert run["reason"].startswith("steps[0]: missing_variable: nobody ")

    @pytest.mark.parametrize("status", ["unsubscribed", "unconfirmed", "bounced"])
    async def test_who_is_not_subscribed_gets_no_marketing(self, rig: Rig, status: str) -> None:
        await rig.join("bee@dest.test", status=status)
        made = await rig.make(rig.send(), {"type": "tag", "add": ["on"]})
        mark_marketing(rig, made)
        run_id = await rig.execute(made, "bee@dest.test", {"n": 1})
        await rig.work()
        run = await rig.run(made, run_id)
        assert results(run) == [("send", "skipped"), ("tag", "done")]
        assert run["steps"][0]["detail"] == status
        assert await rig.mails() == []

    async def test_who_is_suppressed_gets_nothing(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        await rig.ask("POST", "/v1/suppressions", {"email": "bee@dest.test"})
        made = await rig.make(rig.send())
        run_id = await rig.execute(made, "bee@dest.test", {"n": 1})
        await rig.work()
        run = await rig.run(made, run_id)
        assert results(run) == [("send", "skipped")]
        assert run["steps"][0]["detail"].startswith("suppressed: ")
        assert run["status"] == "completed"
        assert await rig.mails() == []

    async def test_a_template_that_is_gone_ends_the_run(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make(rig.send())
        run_id = await rig.execute(made, "bee@dest.test")
        await rig.ask("DELETE", f"/v1/templates/{rig.template}")
        assert await rig.work() is None
        run = await rig.run(made, run_id)
        assert run["status"] == "failed"
        assert "There is no such template" in run["reason"]
        assert await rig.counts(made) == {"runs": 1, "failed": 1}


def mark_marketing(rig: Rig, made: Any) -> None:
    """Let the mails of an automation be marketing for its audience, as with a public URL."""
    definition = {
        "trigger": {"type": "api", "audience_id": rig.audience},
        "steps": [{**made["steps"][0], "marketing": True}, *made["steps"][1:]],
    }
    rig.api.database.write_now(
        lambda db: db.execute(
            "UPDATE automation_versions SET definition = ?", (json.dumps(definition),)
        )
    )


class TestEntering:
    @pytest.mark.parametrize(
        ("trigger", "enters"),
        [
            ({"type": "contact.created"}, True),
            ({"type": "contact.created", "audience_id": "ours"}, True),
            ({"type": "contact.subscribed"}, True),
            ({"type": "contact.subscribed", "audience_id": "other"}, False),
            ({"type": "contact.unsubscribed"}, False),
            ({"type": "contact.tagged", "tag": "vip"}, True),
            ({"type": "contact.tagged", "tag": "no"}, False),
            ({"type": "contact.tagged", "tag": "vip", "audience_id": "ours"}, True),
            ({"type": "contact.tagged", "tag": "vip", "audience_id": "other"}, False),
            ({"type": "api"}, False),
        ],
    )
    async def test_a_member_joins(self, rig: Rig, trigger: Any, enters: bool) -> None:
        other = (await rig.ask("POST", "/v1/audiences", {"name": "Other"}))["id"]
        named = {"ours": rig.audience, "other": other}
        if "audience_id" in trigger:
            trigger = trigger | {"audience_id": named[trigger["audience_id"]]}
        made = await rig.make({"type": "stop"}, trigger=trigger)
        await rig.join("bee@dest.test", tags=["vip", "x"])
        await rig.work()
        assert await rig.counts(made) == ({"runs": 1, "completed": 1} if enters else {})

    async def test_an_unsubscription_sets_off(self, rig: Rig) -> None:
        member = await rig.join("bee@dest.test")
        trigger = {"type": "contact.unsubscribed", "audience_id": rig.audience}
        made = await rig.make({"type": "tag", "add": ["left"]}, trigger=trigger)
        path = f"/v1/audiences/{rig.audience}/contacts/{member['contact_id']}/unsubscribe"
        await rig.ask("POST", path)
        await rig.work()
        assert (await rig.ask("GET", "/v1/contacts/bee@dest.test"))["tags"] == ["left"]
        assert (await rig.run(made))["audience_id"] == rig.audience

    async def test_what_happened_before_does_not_set_off(self, rig: Rig) -> None:
        await rig.join("bee@dest.test")
        made = await rig.make({"type": "stop"}, trigger={"type": "contact.subscribed"})
        await rig.work()
        await rig.ask("POST", f"{PATH}/{made['id']}/pause")
        await rig.join("elk@dest.test")
        await rig.ask("POST", f"{PATH}/{made['id']}/resume")
        await rig.work()
        assert await rig.counts(made) == {}

    async def test_an_event_counts_once_also_after_a_restart(self, rig: Rig) -> None:
        made = await rig.make({"type": "stop"}, trigger={"type": "contact.subscribed"})
        await rig.join("bee@dest.test")
        await rig.work()
        rig.runner = rig.new_runner()
        await rig.work()
        await rig.join("elk@dest.test")
        await rig.work()
        assert await rig.counts(made) == {"runs": 2, "completed": 2}

    async def test_two_runners_do_everything_once(self, rig: Rig) -> None:
        # While a server is being replaced there are two for a moment.
        made = await rig.make(
            *({"type": "tag", "add": ["x"]}, {"type": "tag", "remove": ["x"]}) * 2,
            trigger={"type": "contact.created"},
            reentry="always",
        )
        people = [{"email": f"p{number}@dest.test"} for number in range(120)]
        await rig.ask("POST", "/v1/contacts/batch", {"contacts": people})
        others = [rig.new_runner() for _ in range(2)]
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for _ in range(12):
                await asyncio.gather(*(one.turn(group) for one in (rig.runner, *others)))
        await rig.work()
        assert await rig.counts(made) == {"runs": 120, "completed": 120}
        assert rig.api.count("automation_steps") == 120 * 4

    @pytest.mark.parametrize("definition", ["{", '{"trigger": {"type": "gone"}}'])
    async def test_one_that_cannot_be_read_leaves_the_others_alone(
        self, rig: Rig, definition: str
    ) -> None:
        trigger = {"type": "contact.subscribed"}
        made = [await rig.make({"type": "stop"}, trigger=trigger) for _ in range(2)]
        await rig.api.database.write(
            lambda db: db.execute(
                "UPDATE automation_versions SET definition = ? WHERE automation_id = 1",
                (definition,),
            )
        )
        await rig.join("bee@dest.test")
        await rig.work()
        assert await rig.counts(made[1]) == {"runs": 1, "completed": 1}

    async def test_an_event_that_we_fail_at_sets_nothing_off_and_the_others_do(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(connection: Connection, tenant_id: int, rows: Collection[int]) -> Any:
            if bad in rows:
                raise LookupError("nobody expected this")
            return people(connection, tenant_id, rows)

        people = automation_people.people
        monkeypatch.setattr(automation_people, "people", fail)
        made = await rig.make({"type": "stop"}, trigger={"type": "contact.subscribed"})
        members = [await rig.join(f"{name}@dest.test") for name in ("ant", "bee", "elk")]
        bad = ids.number_of(members[1]["contact_id"], "ct")
        await rig.work()
        assert await rig.counts(made) == {"runs": 2, "completed": 2}
        assert "sets nothing off" in caplog.text
        await rig.join("owl@dest.test")
        await rig.work()
        assert await rig.counts(made) == {"runs": 3, "completed": 3}

    async def test_many_events_at_once(self, rig: Rig) -> None:
        made = await rig.make({"type": "stop"}, trigger={"type": "contact.created"})
        people = [{"email": f"p{number}@dest.test"} for number in range(700)]
        await rig.ask("POST", "/v1/contacts/batch", {"contacts": people})
        await rig.work()
        assert await rig.counts(made) == {"runs": 700, "completed": 700}

    async def test_conditions_decide(self, rig: Rig) -> None:
        conditions = [{"property": "plan", "value": "pro"}]
        made = await rig.make(
            {"type": "stop"}, trigger={"type": "contact.created"}, conditions=conditions
        )
        for name, plan in (("bee", "pro"), ("elk", "free")):
            await rig.contact(f"{name}@dest.test", properties={"plan": plan})
        await rig.work()
        assert await rig.counts(made) == {"runs": 1, "completed": 1}
        assert (await rig.run(made))["email"] == "bee@dest.test"

    async def test_others_contacts_do_not_enter(self, rig: Rig) -> None:
        made = await rig.make({"type": "stop"}, trigger={"type": "contact.created"})
        other = rig.api.client_with(rig.api.new_key(2))
        await other.request("PUT", "/v1/contacts", body=b'{"email": "bee@dest.test"}')
        await rig.work()
        assert await rig.counts(made) == {}

    async def test_an_automation_that_sets_itself_off_comes_to_an_end(self, rig: Rig) -> None:
        steps = ({"type": "tag", "remove": ["x"]}, {"type": "tag", "add": ["x"]})
        made = await rig.make(
            *steps, trigger={"type": "contact.tagged", "tag": "x"}, reentry="always"
        )
        await rig.contact("bee@dest.test", tags=["x"])
        assert await rig.work() is None
        assert await rig.counts(made) == {"runs": MAX_ENTRIES, "completed": MAX_ENTRIES}


class TestDates:
    async def trigger(self, rig: Rig, **more: Any) -> Any:
        return await rig.make({"type": "tag", "add": ["hit"]}, trigger={"type": "date", **more})

    async def test_birthdays_come_every_year(self, rig: Rig) -> None:
        rig.api.clock.now = datetime(2027, 2, 27, 12, 0, tzinfo=UTC)
        days = {"bee": "1990-02-28", "elk": "1992-02-29T10:00:00Z", "ant": "1990-03-01", "fly": 7}
        for name, day in days.items():
            await rig.contact(f"{name}@dest.test", properties={"born": day})
        made = await self.trigger(rig, property="born", yearly=True, time="08:00")
        assert await rig.work() == datetime(2027, 2, 28, 8, 0, tzinfo=UTC)
        await rig.wait(days=1)
        hit = (await rig.ask("GET", "/v1/contacts?tag=hit"))["data"]
        assert {one["email"] for one in hit} == {"bee@dest.test", "elk@dest.test"}
        assert await rig.wait(days=364) is not None
        assert await rig.counts(made) == {"runs": 3, "completed": 3}

    async def test_days_before_the_date_of_a_member(self, rig: Rig) -> None:
        field = {"tag": "ENDS", "type": "datetime"}
        await rig.ask("POST", f"/v1/audiences/{rig.audience}/fields", field)
        await rig.join("bee@dest.test", fields={"ENDS": "2026-03-09"})
        await rig.join("elk@dest.test", fields={"ENDS": "2026-03-09"}, status="unsubscribed")
        made = await self.trigger(
            rig, field="ENDS", audience_id=rig.audience, offset_days=-7, time="09:00"
        )
        assert await rig.work() == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        await rig.wait(days=1)
        assert await rig.counts(made) == {"runs": 1, "completed": 1}
        assert (await rig.run(made))["email"] == "bee@dest.test"

    async def test_days_that_the_server_was_off_are_made_up_for(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test", properties={"due": "2026-03-03"})
        made = await self.trigger(rig, property="due")
        await rig.work()
        await rig.wait(days=5)
        assert await rig.counts(made) == {"runs": 1, "completed": 1}

    async def test_more_people_than_are_looked_at_at_once(self, rig: Rig) -> None:
        for start in range(0, 3000, 1000):
            people = [
                {"email": f"p{number}@dest.test", "properties": {"due": "2026-03-02"}}
                for number in range(start, start + 1000)
            ]
            await rig.ask("POST", "/v1/contacts/batch", {"contacts": people[:500:100]})
            await rig.ask(
                "POST",
                "/v1/contacts/batch",
                {
                    "contacts": [
                        {"email": one["email"]} for one in people if one not in people[:500:100]
                    ]
                },
            )
        made = await self.trigger(rig, property="due")
        await rig.wait(days=1)
        assert await rig.counts(made) == {"runs": 15, "completed": 15}


class TestSteps:
    async def test_tags_and_branches(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test", tags=["old"], properties={"n": 3})
        branch = {
            "type": "branch",
            "conditions": [{"property": "n", "op": "gt", "value": 2}],
            "then": [{"type": "tag", "add": ["many"], "remove": ["old"]}],
            "else": [{"type": "tag", "add": ["few"]}],
        }
        only = {"type": "condition", "conditions": [{"tag": "few"}]}
        made = await rig.make(branch, {"type": "tag", "add": ["both"]}, only, branch)
        run_id = await rig.execute(made, "bee@dest.test")
        await rig.work()
        assert (await rig.ask("GET", "/v1/contacts/bee@dest.test"))["tags"] == ["both", "many"]
        run = await rig.run(made, run_id)
        assert [one["path"] for one in run["steps"]] == ["steps[0].then[0]", "steps[1]"]
        assert run["status"] == "completed"

    async def test_moves_and_copies(self, rig: Rig) -> None:
        names = [(await rig.ask("POST", "/v1/audiences", {"name": name}))["id"] for name in "ab"]
        for name in (rig.audience, names[0]):
            await rig.ask("POST", f"/v1/audiences/{name}/fields", {"tag": "FNAME"})
        await rig.join("bee@dest.test", fields={"FNAME": "Bee"})
        move = {"type": "move", "from_audience_id": rig.audience, "to_audience_id": names[0]}
        made = await rig.make(move, {"type": "copy", "to_audience_id": names[1]}, move)
        run_id = await rig.execute(made, "bee@dest.test")
        await rig.work()
        run = await rig.run(made, run_id)
        assert results(run) == [("move", "done"), ("copy", "done"), ("move", "skipped")]
        member = await rig.ask("GET", f"/v1/audiences/{names[0]}/contacts/bee@dest.test")
        assert (member["status"], member["fields"]) == ("subscribed", {"FNAME": "Bee"})
        gone = f"/v1/audiences/{rig.audience}/contacts/bee@dest.test"
        assert (await rig.api.client.get(gone)).status == 404

    async def test_who_has_left_stays_so_where_he_is_moved(self, rig: Rig) -> None:
        other = (await rig.ask("POST", "/v1/audiences", {"name": "b"}))["id"]
        await rig.join("bee@dest.test", status="unsubscribed")
        move = {"type": "move", "from_audience_id": rig.audience, "to_audience_id": other}
        made = await rig.make(move)
        await rig.execute(made, "bee@dest.test")
        await rig.work()
        member = await rig.ask("GET", f"/v1/audiences/{other}/contacts/bee@dest.test")
        assert member["status"] == "unsubscribed"

    async def test_waits_until_a_time(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make(
            {"type": "wait", "time": "09:30"}, {"type": "wait", "until": "2026-04-01T00:00:00Z"}
        )
        await rig.execute(made, "bee@dest.test")
        assert await rig.work() == datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
        assert await rig.wait(days=1) == datetime(2026, 4, 1, tzinfo=UTC)
        assert await rig.wait(days=31) is None


class TestRuns:
    async def test_a_pause_stops_runs_and_they_go_on_after_it(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make({"type": "wait", "hours": 1}, {"type": "tag", "add": ["on"]})
        await rig.execute(made, "bee@dest.test")
        await rig.work()
        await rig.ask("POST", f"{PATH}/{made['id']}/pause")
        assert await rig.wait(hours=2) is None
        assert (await rig.run(made))["status"] == "active"
        await rig.ask("POST", f"{PATH}/{made['id']}/resume")
        await rig.work()
        assert (await rig.run(made))["status"] == "completed"

    async def test_runs_keep_the_steps_that_they_began_with(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        wait = {"type": "wait", "hours": 1}
        made = await rig.make(wait, {"type": "tag", "add": ["old"]}, reentry="always")
        await rig.execute(made, "bee@dest.test")
        await rig.work()
        for word in ("middle", "new"):
            steps = [{"type": "tag", "add": [word]}]
            changed = await rig.ask("PATCH", f"{PATH}/{made['id']}", {"steps": steps})
        assert changed["version"] == 3
        await rig.execute(made, "bee@dest.test")
        await rig.wait(hours=1)
        assert (await rig.ask("GET", "/v1/contacts/bee@dest.test"))["tags"] == ["new", "old"]
        assert rig.api.count("automation_versions") == 2

    async def test_deleting_ends_runs(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make({"type": "wait", "hours": 1}, {"type": "tag", "add": ["on"]})
        await rig.execute(made, "bee@dest.test")
        await rig.work()
        await rig.ask("DELETE", f"{PATH}/{made['id']}")
        assert (await rig.api.client.get(f"{PATH}/{made['id']}")).status == 404
        assert await rig.wait(hours=2) is None
        names = ("automations", "automation_versions", "automation_runs", "automation_steps")
        assert [rig.api.count(name) for name in names] == [0, 0, 0, 0]

    async def test_a_run_that_is_canceled_goes_no_further(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make({"type": "wait", "hours": 1}, {"type": "tag", "add": ["on"]})
        run_id = await rig.execute(made, "bee@dest.test")
        await rig.work()
        await rig.ask("POST", f"{PATH}/{made['id']}/runs/{run_id}/cancel")
        assert await rig.wait(hours=2) is None
        assert (await rig.run(made))["status"] == "canceled"
        assert await rig.counts(made) == {"runs": 1, "canceled": 1}

    async def test_with_a_contact_its_runs_go(self, rig: Rig) -> None:
        await rig.contact("bee@dest.test")
        made = await rig.make({"type": "wait", "hours": 1})
        await rig.execute(made, "bee@dest.test")
        await rig.work()
        await rig.ask("DELETE", "/v1/contacts/bee@dest.test")
        assert await rig.wait(hours=2) is None
        assert rig.api.count("automation_runs") == rig.api.count("automation_steps") == 0
        assert await rig.counts(made) == {"runs": 1, "canceled": 1}


class TestWebhooks:
    async def test_a_signed_post(self, rig: Rig) -> None:
        async with HttpReceiver() as receiver:
            await rig.contact("bee@dest.test", name="Bee", tags=["vip"])
            made = await rig.make({"type": "webhook", "url": receiver.url}, {"type": "stop"})
            run_id = await rig.execute(made, "bee@dest.test", {"n": 1})
            await rig.work()
            [post] = receiver.received
        body = json.loads(post.body)
        assert (body["type"], body["data"]["run_id"]) == ("automation.webhook", run_id)
        assert body["data"]["contact"]["tags"] == ["vip"]
        assert body["data"]["data"] == {"n": 1}
        signed = headers_of(
            post.headers["webhook-id"], rig.api.clock(), post.body, [made["webhook_secret"]]
        )
        assert post.headers["webhook-signature"] == signed["webhook-signature"]
        run = await rig.run(made, run_id)
        assert (run["status"], results(run)) == ("completed", [("webhook", "done")])

    async def test_a_post_that_we_fail_at_is_made_later(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def fail(posts: Posts, row: int) -> None:
            raise LookupError("nobody expected this")

        async with HttpReceiver() as receiver:
            await rig.contact("bee@dest.test")
            made = await rig.make({"type": "webhook", "url": receiver.url})
            await rig.execute(made, "bee@dest.test")
            with monkeypatch.context() as patch:
                patch.setattr(Posts, "work_off", fail)
                assert await rig.work() == rig.api.clock() + timedelta(minutes=1)
            assert await rig.wait(minutes=1) is None
            assert len(receiver.received) == 1

    async def test_a_dead_endpoint_holds_up_nobody_else(self, rig: Rig) -> None:
        async with HttpReceiver() as receiver:
            receiver.answer = hang
            await rig.contact("bee@dest.test")
            dead = await rig.make({"type": "webhook", "url": receiver.url})
            other = await rig.make({"type": "tag", "add": ["on"]})
            for made in (dead, other):
                await rig.execute(made, "bee@dest.test")

            async def work_and_die() -> None:
                async with asyncio.timeout(30), asyncio.TaskGroup() as group:
                    while not (await rig.counts(other)).get("completed"):
                        await rig.runner.turn(group)
                    assert len(await receiver.wait_for(1)) == 1
                    raise ConnectionError("the server ends in the middle of the post")

            with pytest.raises(ExceptionGroup, match="TaskGroup"):
                await work_and_die()
        assert await rig.counts(dead) == {"runs": 1, "active": 1}

    async def test_failed_posts_are_repeated_and_then_given_up(self, rig: Rig) -> None:
        async with HttpReceiver() as receiver:
            receiver.answer = status(500)
            await rig.contact("bee@dest.test")
            made = await rig.make({"type": "webhook", "url": receiver.url}, {"type": "stop"})
            run_id = await rig.execute(made, "bee@dest.test")
            until = await rig.work()
            for _ in WEBHOOK_RETRIES:
                assert until is not None
                rig.api.clock.now = until
                until = await rig.work()
            assert until is None
            assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
            assert len(receiver.received) == len(WEBHOOK_RETRIES) + 1
        run = await rig.run(made, run_id)
        assert (run["status"], run["reason"]) == ("failed", "steps[0]: HTTP 500")
        expected = [("webhook", "retrying")] * len(WEBHOOK_RETRIES) + [("webhook", "failed")]
        assert results(run) == expected
