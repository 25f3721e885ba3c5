"""`mta classify`: what replies of mail servers mean, and what other rules would change.

Reading replies needs neither a configuration nor an engine. The rules are those that come with
Mailwright, and the operator's own with --rules.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

import click

from config import bounce_rules
from mta.cli.environment import Environment
from mta.cli.options import json_option
from mta.cli.output import print_json, print_line, print_note, print_table
from mta.core.bounce import Verdict
from mta.core.bounce_rules import Classifier
from mta.core.diagnostic import Diagnostic, code_in
from mta.core.event import EventKind, JsonValue
from mta.core.frozen import frozen
from mta.core.outcome import Command

BATCH = 1000
_REFUSALS = (EventKind.DEFERRED, EventKind.BOUNCED, EventKind.EXPIRED, EventKind.REPORTED)


@click.command()
@click.option(
    "--rules",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Own rules, which go before those that come with Mailwright.",
)
@click.option("--journal", is_flag=True, help="Show what the rules would change in the journal.")
@json_option
@click.pass_obj
def command(environment: Environment, rules: Path | None, journal: bool, is_json: bool) -> None:
    """Classify replies, one on each line of standard input.

    With --json one object a line: reply, class, permanent, hard (the address should get no more
    mail), rule, and retry_after in seconds where the reply asks for a time. --journal changes
    nothing; it counts the past refusals, in sessions and in reports that quote them, whose class
    these rules would change. Its rules are those of [bounces] rules where --rules names none.
    """
    if journal:
        classifier = bounce_rules.load(rules or environment.settings.bounces.rules)
        _show(_dry_run(environment, classifier), is_json=is_json)
    else:
        _classify(_lines(), bounce_rules.load(rules), is_json=is_json)


def _lines() -> Iterator[str]:
    """Yield the lines of standard input; octets that are not UTF-8 are replaced."""
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "replace").rstrip("\r\n")


def _classify(replies: Iterable[str], classifier: Classifier, *, is_json: bool) -> None:
    for reply in replies:
        verdict = classifier.judge(Diagnostic.read(reply))
        if is_json:
            print_json(_fields(reply, verdict))
        else:
            hard = "hard" if verdict.is_hard else "soft"
            print_line(f"{verdict.bounce_class.value:<17}", hard, verdict.rule or "-", reply)


def _fields(reply: str, verdict: Verdict) -> dict[str, JsonValue]:
    wait = verdict.retry_after
    return {
        "reply": reply,
        "class": verdict.bounce_class.value,
        "permanent": verdict.is_permanent,
        "hard": verdict.is_hard,
        "rule": verdict.rule,
        "retry_after": None if wait is None else int(wait.total_seconds()),
    }


@frozen
class Change:
    """What becomes of a refusal.

    Attributes:
        old: its class in the journal.
        new: its class by these rules.
        rule: the rule that says so.
        is_hard: by these rules the address should get no more mail.
    """

    old: str
    new: str
    rule: str
    is_hard: bool


@frozen
class DryRun:
    """What these rules make of the journal.

    Attributes:
        refusals: how many were read.
        changes: how often each change would happen, the most frequent first.
        samples: for each change one reply that shows it.
    """

    refusals: int
    changes: Counter[Change]
    samples: dict[Change, str]


def _dry_run(environment: Environment, classifier: Classifier) -> DryRun:
    refusals = 0
    changes: Counter[Change] = Counter()
    samples: dict[Change, str] = {}
    for data in _refusals(environment):
        refusals += 1
        diagnostic = _diagnostic(data)
        verdict = classifier.judge(diagnostic)
        old, new = str(data.get("class", "")), verdict.bounce_class.value
        if old != new:
            change = Change(old, new, verdict.rule, verdict.is_hard)
            changes[change] += 1
            samples.setdefault(change, _sample(data, diagnostic))
    return DryRun(refusals, changes, samples)


def _sample(data: dict[str, JsonValue], diagnostic: Diagnostic) -> str:
    words = (str(diagnostic.code), diagnostic.status, diagnostic.text)
    return diagnostic.text if data.get("reported") else " ".join(filter(None, words))


def _refusals(environment: Environment) -> Iterator[dict[str, JsonValue]]:
    """Yield the data of every event in the journal that holds a server's refusal."""
    # Only this needs storage: the command starts faster without it.
    from mta.cli.store import opened, require_database  # noqa: PLC0415
    from storage import events  # noqa: PLC0415

    require_database(environment)
    with opened(environment) as database:
        after = 0
        while batch := database.read_now(
            partial(events.read, after=after, limit=BATCH, kinds=_REFUSALS)
        ):
            yield from (dict(event.data) for event in batch if _quotes_server(event.data))
            after = batch[-1].seq


def _quotes_server(data: Mapping[str, JsonValue]) -> bool:
    """Return whether there is an answer to judge: reports may hold other words, or none."""
    return bool(data.get("code") or (data.get("reported") and code_in(str(data.get("text", "")))))


def _diagnostic(data: dict[str, JsonValue]) -> Diagnostic:
    if data.get("reported"):
        return Diagnostic.read(str(data.get("text", "")), status=str(data.get("enhanced", "")))
    code, named = data.get("code"), str(data.get("command", ""))
    return Diagnostic(
        str(data.get("text", "")),
        code if isinstance(code, int) else 0,
        str(data.get("enhanced", "")),
        next((step for step in Command if step.value == named), None),
        str(data.get("host", "")).lower(),
    )


def _show(run: DryRun, *, is_json: bool) -> None:
    changes = run.changes.most_common()
    if is_json:
        for change, count in changes:
            print_json(_change_fields(change, count, run.samples[change]))
        return
    if changes:
        print_table(
            ("was", "becomes", "hard", "rule", "refusals>", "such as"),
            [_row(change, count, run.samples[change]) for change, count in changes],
        )
    read = "1 refusal" if run.refusals == 1 else f"{run.refusals:,} refusals"
    changed = f"{run.changes.total():,}" if changes else "none"
    print_note(f"{read} in the journal; these rules change {changed}.")


def _row(change: Change, count: int, sample: str) -> tuple[str, ...]:
    hard = "hard" if change.is_hard else "soft"
    return change.old, change.new, hard, change.rule or "-", f"{count:,}", sample[:100]


def _change_fields(change: Change, count: int, sample: str) -> dict[str, JsonValue]:
    return {
        "from": change.old,
        "to": change.new,
        "hard": change.is_hard,
        "rule": change.rule,
        "events": count,
        "reply": sample,
    }
