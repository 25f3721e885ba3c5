"""`mta events` and `mta message`: the journal for people and programs."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from mta.core.bounce import BounceClass
from mta.core.disposition import Bounced, Deferred, Delivered, Why
from mta.core.outcome import Accepted, Command, Refused, Stage, Unreachable
from mta.core.reply import Reply
from tests.mta.cli.conftest import CommandLine


def listed(mta: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    lines = mta("events", "--json", *arguments).stdout.splitlines()
    return [json.loads(line) for line in lines]


def test_events_are_one_json_object_a_line(mta: CommandLine) -> None:
    email_id = mta.accept("a@one.test")
    mta.attempt("one.test", Accepted(Reply(250, "2.0.0", "ok")), Delivered())
    queued, delivered = listed(mta)
    assert (queued["kind"], queued["recipient"]) == ("queued", "a@one.test")
    assert (delivered["kind"], delivered["email_id"]) == ("delivered", email_id)
    assert delivered["data"]["code"] == 250
    assert delivered["subject"] == "hi"
    assert delivered["at"].endswith("Z")
    assert delivered["seq"] > queued["seq"]


def test_events_for_people(mta: CommandLine) -> None:
    mta.accept("a@one.test")
    mta.attempt(
        "one.test",
        Refused(Reply(550, "5.1.1", "no\x1b]0;such user"), Command.RCPT),
        Bounced(BounceClass.BAD_MAILBOX),
    )
    queued, bounced = mta("events").stdout.splitlines()
    assert queued.split()[2:] == ["queued", "a@one.test"]
    assert bounced.split()[2:6] == ["bounced", "a@one.test", "550", "5.1.1"]
    assert bounced.endswith("from mx.one.test [192.0.2.1]; class bad_mailbox")
    assert "\x1b" not in bounced


def test_the_newest_events_are_shown(mta: CommandLine) -> None:
    for name in "abc":
        mta.accept(f"{name}@one.test")
    assert [event["recipient"] for event in listed(mta, "--last", "2")] == [
        "b@one.test",
        "c@one.test",
    ]


def test_after_a_seq(mta: CommandLine) -> None:
    for name in "abc":
        mta.accept(f"{name}@one.test")
    first, *rest = listed(mta, "--after", "0")
    assert listed(mta, "--after", str(first["seq"])) == rest
    assert listed(mta, "--after", str(rest[-1]["seq"])) == []


@pytest.mark.parametrize(("since", "expected"), [("90m", "cde"), ("3h", "bcde"), ("1s", "e")])
def test_since_a_time(since: str, expected: str, mta: CommandLine) -> None:
    now = mta.now
    for name, hours in zip("abcde", (4, 2, 1, 0.5, 0), strict=True):
        mta.accept(f"{name}@one.test", at=now - timedelta(hours=hours) + timedelta(minutes=1))
    assert "".join(event["recipient"][0] for event in listed(mta, "--since", since)) == expected


def test_since_wants_a_time_span(mta: CommandLine) -> None:
    result = mta("events", "--since", "yesterday")
    assert result.exit_code == 2
    assert "time span" in result.stderr


def test_message_tells_what_each_recipient_waits_for(mta: CommandLine) -> None:
    email_id = mta.accept("a@one.test", "b@two.test")
    mta.attempt("one.test", Accepted(Reply(250, "2.0.0", "ok")), Delivered())
    due = mta.now + timedelta(minutes=5)
    mta.attempt(
        "two.test",
        Unreachable(Stage.CONNECT, "connection refused"),
        Deferred(due, Why.UNREACHABLE, BounceClass.NETWORK),
    )
    output = mta("message", "show", email_id).stdout
    assert "a@one.test delivered\n" in output
    assert "250 2.0.0 ok (from mx.one.test)" in output
    assert "b@two.test waiting\n" in output
    assert "(in 5 min): no server of the domain could be spoken to" in output
    assert [line.split()[2] for line in output.splitlines()[-4:]] == [
        "queued",
        "queued",
        "delivered",
        "deferred",
    ]


def test_message_as_json(mta: CommandLine) -> None:
    email_id = mta.accept("a@one.test")
    mta.attempt("one.test", Accepted(Reply(250, "2.0.0", "ok")), Delivered())
    shown = json.loads(mta("message", "show", email_id, "--json").stdout)
    assert (shown["id"], shown["status"], shown["mail_from"]) == (
        email_id,
        "delivered",
        "bounce@sender.test",
    )
    [recipient] = shown["recipients"]
    assert (recipient["status"], recipient["code"], recipient["explanation"]) == (
        "delivered",
        250,
        "",
    )
    assert [event["kind"] for event in shown["events"]] == ["queued", "delivered"]


def test_an_unknown_message(mta: CommandLine) -> None:
    mta.accept("a@one.test")
    result = mta("message", "show", "em_nothing")
    assert result.exit_code == 1
    assert result.stderr.startswith("mta: em_nothing: no such message")
