"""`mta queue`: what people see of the queue, and what they can ask of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, cast

import pytest

from mta.cli.failure import Failure
from mta.cli.queue import carry_out
from mta.core.bounce import BounceClass
from mta.core.disposition import Deferred, Why
from mta.core.outcome import Command, Refused
from mta.core.reply import Reply
from storage import engine_state, queue_changes
from storage import queue as stored
from storage.database import Database
from storage.queue_changes import STEP, Operation, QueueChange, Selection
from tests.mta.cli.conftest import CommandLine
from tests.storage import builders

GREYLISTED = Refused(Reply(451, "4.7.1", "Greylisted \x1b[31m[bold]come back"), Command.RCPT)


def defer(mta: CommandLine, domain: str) -> None:
    due = mta.now + timedelta(minutes=5)
    mta.attempt(domain, GREYLISTED, Deferred(due, Why.REPLY, BounceClass.GREYLIST))


def states(mta: CommandLine) -> list[tuple[str, str]]:
    entries = json.loads(mta("queue", "list", "--json").stdout)
    return [(entry["recipient"], entry["state"]) for entry in entries]


def test_an_empty_queue_says_so(mta: CommandLine) -> None:
    mta.accept("a@one.test")
    assert mta("queue", "cancel", "--all").exit_code == 0
    assert mta("queue", "list").stdout == "nothing waits\n"
    assert mta("queue", "show").stdout == "nothing waits\n"
    assert json.loads(mta("queue", "list", "--json").stdout) == []


def test_list_shows_why_each_entry_waits(mta: CommandLine) -> None:
    mta.accept("a@one.test", "b@two.test")
    defer(mta, "one.test")
    lines = mta("queue", "list").stdout.splitlines()
    assert lines[0].split() == ["ENTRY", "STATE", "TRIES", "NEXT", "TO", "WHY"]
    assert lines[1].split()[1:6] == ["waiting", "1", "in", "5", "min"]
    assert "  a@one.test  reply: 451 Greylisted" in lines[1]
    assert lines[2].split()[1:] == ["waiting", "0", "now", "b@two.test", "new"]


def test_text_of_other_servers_cannot_steer_the_terminal(mta: CommandLine) -> None:
    mta.accept("a@one.test")
    defer(mta, "one.test")
    output = mta("queue", "list").stdout
    assert "\x1b" not in output
    assert "[31m[bold]come back" in output


def test_list_as_json_explains(mta: CommandLine) -> None:
    email_id = mta.accept("a@one.test")
    defer(mta, "one.test")
    [entry] = json.loads(mta("queue", "list", "--json").stdout)
    assert entry["email_id"] == email_id
    assert (entry["state"], entry["attempts"], entry["code"]) == ("waiting", 1, 451)
    assert entry["explanation"].startswith("next attempt ")
    assert "(in 5 min): the server put it off: 451 Greylisted" in entry["explanation"]


def test_list_filters(mta: CommandLine) -> None:
    mta.accept("a@one.test", "b@two.test", "c@two.test")
    assert mta("queue", "hold", "--domain", "TWO.test").stdout == "held 2 entries\n"
    assert "a@one.test" not in mta("queue", "list", "--domain", "two.test").stdout
    assert "a@one.test" in mta("queue", "list", "--state", "waiting").stdout
    result = mta("queue", "list", "--limit", "2")
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.startswith("there are more than 2")


def test_show_counts_by_domain_and_names_suspended_sites(mta: CommandLine) -> None:
    mta.accept("a@one.test", "b@two.test", "c@two.test")
    until = mta.now + timedelta(minutes=10)
    with mta.database() as database:
        database.write_now(
            lambda connection: engine_state.suspend(
                connection, "mx.two.test", until, Why.UNREACHABLE, "connection refused"
            )
        )
    lines = mta("queue", "show").stdout.splitlines()
    assert lines[1].split()[:4] == ["two.test", "2", "0", "0"]
    assert lines[2].split()[:4] == ["one.test", "1", "0", "0"]
    assert lines[-1].split(maxsplit=1)[0] == "mx.two.test"
    assert lines[-1].endswith("nobody got through: connection refused")
    shown = json.loads(mta("queue", "show", "--json").stdout)
    assert [d["domain"] for d in shown["domains"]] == ["two.test", "one.test"]
    assert shown["suspensions"][0]["name"] == "mx.two.test"


def test_hold_release_retry_and_cancel(mta: CommandLine) -> None:
    email_id = mta.accept("a@one.test", "b@two.test")
    assert mta("queue", "hold", email_id).stdout == "held 2 entries\n"
    assert states(mta) == [("a@one.test", "held"), ("b@two.test", "held")]
    assert mta("queue", "release", "--domain", "one.test").stdout == "released 1 entry\n"
    defer(mta, "one.test")
    assert json.loads(mta("queue", "retry", "--all", "--json").stdout) == {"count": 1}
    assert mta("queue", "cancel", email_id).stdout == "canceled 2 entries\n"
    assert states(mta) == []


def test_entries_are_named_by_their_own_id_too(mta: CommandLine) -> None:
    mta.accept("a@one.test", "b@two.test")
    first, _ = json.loads(mta("queue", "list", "--json").stdout)
    assert mta("queue", "cancel", first["id"]).stdout == "canceled 1 entry\n"
    assert states(mta) == [("b@two.test", "waiting")]


def test_an_unknown_id_is_a_failure(mta: CommandLine) -> None:
    mta.accept("a@one.test")
    result = mta("queue", "retry", "em_nothing")
    assert result.exit_code == 1
    assert result.stderr.startswith("mta: nothing to retry")


@pytest.mark.parametrize("arguments", [(), ("--all", "--domain", "a.test"), ("dl_1", "--all")])
def test_a_selection_is_needed_and_only_one(arguments: tuple[str, ...], mta: CommandLine) -> None:
    result = mta("queue", "hold", *arguments)
    assert result.exit_code == 2
    assert "by ids, or by --domain and --tag, or by --all" in result.stderr


def test_reading_before_anything_was_stored(mta: CommandLine) -> None:
    result = mta("queue", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"mta: {mta.data}: nothing there yet")
    assert not mta.data.exists()


def test_a_domain_is_suspended_and_resumed(mta: CommandLine) -> None:
    mta.accept("a@one.test")
    assert mta("queue", "suspend", "ONE.test", "--for", "2h", "--reason", "moving").exit_code == 0
    assert mta("queue", "show").stdout.splitlines()[-1].endswith("an operator wants it: moving")
    [entry] = json.loads(mta("queue", "list", "--json").stdout)
    assert entry["explanation"].startswith("until ")
    assert entry["explanation"].endswith("): an operator has suspended one.test: moving")
    assert mta("queue", "resume", "one.test").stdout == "resumed one.test\n"
    again = mta("queue", "resume", "one.test")
    assert (again.exit_code, again.stderr) == (
        1,
        "mta: one.test: not suspended; see `mta queue show`\n",
    )


def test_what_is_no_tag_is_told(mta: CommandLine) -> None:
    result = mta("queue", "hold", "--tag", "campaign")
    assert result.exit_code == 2
    assert "not NAME=VALUE" in result.stderr


class Interrupted:
    """A database in front of which somebody presses Ctrl-C at a write."""

    def __init__(self, database: Database, *, at: int) -> None:
        self._database = database
        self._writes_left = at

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    def write_now(self, work: Any) -> Any:
        self._writes_left -= 1
        if self._writes_left == 0:
            raise KeyboardInterrupt
        return self._database.write_now(work)


def test_ctrl_c_stops_a_large_change_for_good(database: Database) -> None:
    recipients = [f"user{number}@example.net" for number in range(STEP + 10)]
    database.write_now(lambda connection: builders.accept(connection, *recipients))
    change = QueueChange(Operation.CANCEL, Selection(is_all=True), builders.NOW)
    interrupted = cast("Database", Interrupted(database, at=3))
    with pytest.raises(Failure, match=f"stopped after {STEP} of {STEP + 10} entries"):
        carry_out(interrupted, change)
    assert database.read_now(queue_changes.unfinished) == []
    assert database.read_now(stored.totals).waiting == 10
