"""`mta classify`: replies on standard input, and what rules would change in the journal."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from mta.cli.main import cli
from mta.core.bounce import BounceClass
from mta.core.disposition import Bounced, Deferred, Why
from mta.core.findings import Failure
from mta.core.outcome import Command, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.suppression import SuppressionPolicy
from storage import correlation, feedback
from storage.database import Connection
from tests.mta.cli.conftest import CommandLine

REFUSED = Refused(Reply(550, "5.7.1", "Go away"), Command.MAIL)


def classify(text: bytes, *arguments: str) -> list[dict[str, object]]:
    """Run without any configuration file."""
    result = CliRunner().invoke(cli, ["--config", "/nowhere", "classify", *arguments], input=text)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_one_object_a_line() -> None:
    first, second = classify(
        b"550 5.1.1 user unknown\r\n451 4.7.1 Greylisted, try again in 5 minutes\n", "--json"
    )
    assert first == {
        "reply": "550 5.1.1 user unknown",
        "class": "bad_mailbox",
        "permanent": True,
        "hard": True,
        "rule": "unknown-by-status",
        "retry_after": None,
    }
    assert (second["class"], second["permanent"], second["retry_after"]) == ("greylist", False, 300)


def test_every_line_has_its_answer() -> None:
    answers = classify(b"\n\xff\x00\x1b[31m\n550\n" + b"x" * 100_000, "--json")
    assert len(answers) == 4
    assert answers[0]["class"] == "unknown"


def test_for_people() -> None:
    result = CliRunner().invoke(cli, ["classify"], input=b"550 5.1.1 user unknown\x1b[31m\n")
    assert result.stdout.startswith("bad_mailbox       hard unknown-by-status 550")
    assert "\x1b" not in result.stdout


def test_own_rules(tmp_path: Path) -> None:
    rules = tmp_path / "own.toml"
    rules.write_text('[[rule]]\nid = "own"\nclass = "policy"\nmatch = ["go away"]\n')
    [answer] = classify(b"550 Go away", "--json", "--rules", str(rules))
    assert (answer["class"], answer["rule"]) == ("policy", "own")
    rules.write_text("rule = 5")
    result = CliRunner().invoke(cli, ["classify", "--rules", str(rules)], input=b"")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"mta: {rules}: rule: must be tables")


def test_what_would_change_in_the_journal(mta: CommandLine, tmp_path: Path) -> None:
    rules = tmp_path / "own.toml"
    rules.write_text('[[rule]]\nid = "own"\nclass = "rate_limit"\nmatch = ["go away"]\n')
    for recipient in ("a@one.test", "b@two.test"):
        mta.accept(recipient)
        mta.attempt(recipient.partition("@")[2], REFUSED, Bounced(BounceClass.POLICY))
    mta.accept("c@three.test")
    later = Deferred(mta.now, Why.UNREACHABLE, BounceClass.NETWORK)
    mta.attempt("three.test", Unreachable(Stage.CONNECT, "timed out"), later)
    result = mta("classify", "--journal", "--rules", str(rules), "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "from": "policy",
            "to": "rate_limit",
            "hard": False,
            "rule": "own",
            "events": 2,
            "reply": "550 5.7.1 Go away",
        }
    ]
    shown = mta("classify", "--journal", "--rules", str(rules))
    assert shown.stdout.splitlines() == [
        "was     becomes     hard  rule  refusals  such as",
        "policy  rate_limit  soft  own          2  550 5.7.1 Go away",
    ]
    assert shown.stderr == "2 refusals in the journal; these rules change 2.\n"
    # Rules that are in force already need not be named.
    mta.config.write_text(f'{mta.config.read_text()}[bounces]\nrules = "{rules}"\n')
    assert mta("classify", "--journal").stdout == shown.stdout
    rules.write_text(rules.read_text().replace("rate_limit", "policy"))
    unchanged = mta("classify", "--journal")
    assert unchanged.stdout == ""
    assert unchanged.stderr == "2 refusals in the journal; these rules change none.\n"


def test_what_reports_quoted_counts_too(mta: CommandLine, tmp_path: Path) -> None:
    for text in ("550 5.7.1 Go away", "gone, we are told"):
        email_id = mta.accept("a@one.test")
        report_failure(mta, email_id, text)
    rules = tmp_path / "own.toml"
    rules.write_text('[[rule]]\nid = "own"\nclass = "rate_limit"\nmatch = ["go away", "gone"]\n')
    result = mta("classify", "--journal", "--rules", str(rules), "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "from": "policy",
            "to": "rate_limit",
            "hard": False,
            "rule": "own",
            "events": 1,
            "reply": "550 5.7.1 Go away",
        }
    ]
    shown = mta("classify", "--journal", "--rules", str(rules))
    assert shown.stderr == "1 refusal in the journal; these rules change 1.\n"


def report_failure(mta: CommandLine, email_id: str, text: str) -> None:
    failure = Failure("a@one.test", BounceClass.POLICY, "5.7.1", text)

    def record(connection: Connection) -> bool:
        [entry] = correlation.entries_of_email(connection, email_id, None)
        return feedback.record_failure(
            connection, entry, failure, policy=SuppressionPolicy(), tells=False, now=mta.now
        )

    with mta.database() as database:
        assert database.write_now(record)
