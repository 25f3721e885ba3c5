"""`mta classify`: what replies of mail servers mean, and what other rules would change.

Reading replies needs neither a configuration nor an engine. The rules are those that come with
Mailwright, and the operator's own with --rules.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import click

from config import bounce_rules
from mta.cli.environment import Environment
from mta.cli.options import json_option
from mta.cli.output import print_json, print_line, print_table
from mta.core.bounce import Verdict
from mta.core.bounce_rules import Classifier
from mta.core.diagnostic import Diagnostic
from mta.core.event import EventKind, JsonValue
from mta.core.outcome import Command

BATCH = 1000
_REFUSALS = (EventKind.DEFERRED, EventKind.BOUNCED, EventKind.EXPIRED)


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
    nothing; it counts the past refusals whose class these rules would change.
    """
    classifier = bounce_rules.load(rules)
    if journal:
        _show_changes(_changes(environment, classifier), is_json=is_json)
    else:
        _classify(_lines(), classifier, is_json=is_json)


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


Change = tuple[str, str, str]
"""Class in the journal, class by these rules, the rule that says so."""


def _changes(environment: Environment, classifier: Classifier) -> dict[Change, tuple[int, str]]:
    """Return how often each change would happen, with one reply that shows it."""
    counts: Counter[Change] = Counter()
    samples: dict[Change, str] = {}
    for data in _refusals(environment):
        diagnostic = _diagnostic(data)
        verdict = classifier.judge(diagnostic)
        change = (str(data.get("class", "")), verdict.bounce_class.value, verdict.rule)
        if change[0] != change[1]:
            counts[change] += 1
            samples.setdefault(change, f"{diagnostic.code} {diagnostic.status} {diagnostic.text}")
    return {change: (count, samples[change]) for change, count in counts.most_common()}


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
            yield from (dict(event.data) for event in batch if event.data.get("code"))
            after = batch[-1].seq


def _diagnostic(data: dict[str, JsonValue]) -> Diagnostic:
    code, named = data.get("code"), str(data.get("command", ""))
    return Diagnostic(
        str(data.get("text", "")),
        code if isinstance(code, int) else 0,
        str(data.get("enhanced", "")),
        next((step for step in Command if step.value == named), None),
        str(data.get("host", "")).lower(),
    )


def _show_changes(changes: dict[Change, tuple[int, str]], *, is_json: bool) -> None:
    if is_json:
        for (old, new, rule), (count, sample) in changes.items():
            print_json({"from": old, "to": new, "rule": rule, "events": count, "reply": sample})
        return
    print_table(
        ("from", "to", "rule", "events>", "such as"),
        [(*change, str(count), sample[:100]) for change, (count, sample) in changes.items()],
    )
