"""`mta demo`: the whole main job on this machine, in well under a minute, with nothing to set up.

    stage     two receiving servers and an engine, on free ports (demo_stage.py)
    set up    an API key and a sender domain with DKIM keys, made with the commands one would use
    send      four messages, over SMTP and over the API
    watch     accepted, delivered, put off and tried again, refused: from the engine's journal
    check     that all of it happened, and that the signatures of what arrived are right

Ends with 0 when it did. Uses no DNS and no network but the loopback.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from mta.cli.demo_signatures import signatures
from mta.cli.demo_stage import Doors, post, receiving, run, serving, write_config
from mta.cli.failure import Failure
from mta.cli.journal_lines import STYLES, event_cells
from mta.cli.output import Cell, Styled, print_line
from mta.cli.submission import submit
from mta.core.address import parse_address
from mta.core.event import EventKind
from mta.core.mime import Draft, Mailbox, compose
from mta.dkim_keys import PrivateKey
from storage import domains
from storage import events as journal
from storage.database import Connection, Database
from storage.events import JournalEntry

DOMAIN = "demo.example"
SENDER = parse_address(f"shop@{DOMAIN}")
PATIENCE = 40.0
"""Seconds that all deliveries together may take; they need about 3."""

QUEUED, DELIVERED = EventKind.QUEUED, EventKind.DELIVERED
DEFERRED, BOUNCED = EventKind.DEFERRED, EventKind.BOUNCED


@dataclass
class Part:
    """One message of the demo and what has to happen to it.

    Attributes:
        recipient: where it goes.
        door: "SMTP" or "API".
        plot: the kinds of its events, in order.
        id: "em_..." once it is sent.
        trail: the events seen so far.
    """

    recipient: str
    door: str
    plot: tuple[EventKind, ...]
    id: str = ""
    trail: list[JournalEntry] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether as much has happened as was to happen."""
        return len(self.trail) >= len(self.plot)

    @property
    def is_as_planned(self) -> bool:
        """Whether exactly the plot happened."""
        return tuple(event.kind for event in self.trail) == self.plot


def parts() -> list[Part]:
    """Return the messages of the demo, unsent."""
    return [
        Part("ant@friendly.example", "SMTP", (QUEUED, DELIVERED)),
        Part("bee@busy.example", "SMTP", (QUEUED, DEFERRED, DELIVERED)),
        Part("nobody@friendly.example", "SMTP", (QUEUED, BOUNCED)),
        Part("elk@friendly.example", "API", (QUEUED, DELIVERED)),
    ]


@click.command()
def command() -> None:
    """See a whole delivery on this machine, in a minute.

    Four messages: accepted, signed, delivered, put off and tried again, refused. Needs no
    configuration, no DNS and no network, and leaves nothing behind.

    Exit codes: 0 everything happened; 1 something did not.
    """
    began = time.monotonic()
    with TemporaryDirectory(prefix="mta-demo-") as directory:
        failures = list(play(Path(directory)))
    for failure in failures:
        print_line(Styled("failed", "bad"), failure)
    if failures:
        raise Failure("the demo did not go as planned")
    print_line()
    print_line(Styled(f"All as planned, in {time.monotonic() - began:.1f} s.", "good"))
    _print_next_steps()


def play(directory: Path) -> Iterator[str]:
    """Run the demo in an empty directory; yield what did not happen."""
    with ExitStack() as stage:
        _title("Two receiving servers: friendly.example takes mail, busy.example puts it off once")
        friendly, busy = directory / "friendly", directory / "busy"
        _shell("mta sink --refuse 'nobody@*'")
        friendly_at = stage.enter_context(receiving(friendly, "--refuse", "nobody@*"))
        _shell("mta sink --defer-first 1")
        busy_at = stage.enter_context(receiving(busy, "--defer-first", "1"))
        config = write_config(directory, {"friendly.example": friendly_at, "busy.example": busy_at})
        key = _set_up(config)
        database = stage.enter_context(closing(Database.open(directory / "data")))
        database.write_now(_vouch)
        _title("The engine")
        _shell("mta serve")
        doors = stage.enter_context(serving(config))
        print_line("  SMTP at", str(doors.submission), "and the API at", doors.api)
        played = _send(doors, key)
        _watch(played, database)
        yield from _check_plots(played)
        yield from _check_signatures((friendly, busy), directory / "data", database)


def _set_up(config: Path) -> str:
    """Make a key and the sender domain; return the key."""
    _title("An API key, and a sender domain with its DKIM keys")
    _shell("mta key create --name demo")
    created = json.loads(run(config, "key", "create", "--name", "demo", "--json"))
    print_line(" ", created["key"])
    _shell(f"mta domain add {DOMAIN}")
    added = json.loads(run(config, "domain", "add", DOMAIN, "--json"))
    for record in added["records"]:
        print_line(" ", record["type"], record["name"], Styled(record["value"][:40], "quiet"))
    print_line(Styled("  `mta domain verify` looks these up; here we vouch for them", "quiet"))
    return str(created["key"])


def _vouch(connection: Connection) -> None:
    domains.mark_checked(connection, DOMAIN, verified=True, now=datetime.now(UTC))


def _send(doors: Doors, key: str) -> list[Part]:
    """Send every part through its door; return them with their ids."""
    _title("Four messages")
    sent = parts()
    for number, part in enumerate(sent, 1):
        subject, text = f"Order {number}", "Thank you for your order. Grüße!\n"
        if part.door == "SMTP":
            recipient = parse_address(part.recipient)
            part.id = submit(
                doors.submission, SENDER, [recipient], _letter(part, subject, text, number)
            )
        else:
            body = {"from": str(SENDER), "to": part.recipient, "subject": subject, "text": text}
            part.id = str(post(f"{doors.api}/v1/emails", key, body)["id"])
        print_line(" ", Styled("accepted", "good"), part.id, f"{part.door} to {part.recipient}")
    return sent


def _letter(part: Part, subject: str, text: str, number: int) -> bytes:
    draft = Draft(
        from_=Mailbox("Demo Shop", SENDER),
        to=(Mailbox("", parse_address(part.recipient)),),
        cc=(),
        bcc=(),
        reply_to=(),
        subject=subject,
        text=text,
        html=None,
        headers=(),
        attachments=(),
        message_id=f"<order-{number}@{DOMAIN}>",
        date=datetime.now(UTC),
    )
    return compose(draft, boundary_seed=str(number))


def _watch(played: Sequence[Part], database: Database) -> None:
    """Show events as they come and hand each to its part, until all are over."""
    _title("What the engine does with them")
    _shell("mta events --follow")
    by_id = {part.id: part for part in played}
    deadline, after = time.monotonic() + PATIENCE, 0
    while not all(part.is_over for part in played) and time.monotonic() < deadline:
        for event in database.read_now(partial(journal.read, after=after, limit=100)):
            after = event.seq
            if event.email_id in by_id:  # what a bounce suppresses is an event of no email
                by_id[event.email_id].trail.append(event)
            print_line(" ", *event_cells(event))
        time.sleep(0.1)


def _check_plots(played: Sequence[Part]) -> Iterator[str]:
    """Show the way of each message; yield those that went another way than planned."""
    _title("The way of each message")
    for part in played:
        words = [Styled(event.kind.value, STYLES[event.kind]) for event in part.trail]
        took = part.trail[-1].at - part.trail[0].at if part.trail else None
        line: list[Cell] = [part.recipient.ljust(24)]
        for word in words:
            line += [word, Styled("->", "quiet")]
        line[-1] = Styled(f"in {took.total_seconds():.2f} s" if took else "nothing", "quiet")
        print_line(" ", *line)
        if not part.is_as_planned:
            planned = ", ".join(kind.value for kind in part.plot)
            yield f"{part.recipient}: planned was {planned}"


def _check_signatures(stores: Sequence[Path], data: Path, database: Database) -> Iterator[str]:
    """Show whether the DKIM signatures of all that arrived are right; yield those that are not."""
    _title("The DKIM signatures of what arrived")
    domain = database.read_now(lambda connection: domains.get_domain(connection, None, DOMAIN))
    records = domain.keys if domain else ()
    keys = {key.selector: PrivateKey.parse((data / key.key_file).read_bytes()) for key in records}
    arrived = [file for store in stores for file in sorted(store.glob("*.eml"))]
    for file in arrived:
        found = dict(signatures(file.read_bytes(), keys))
        to = json.loads(file.with_suffix(".json").read_bytes())["recipients"][0]
        cells = [
            Styled(f"{name} {'valid' if ok else 'NOT VALID'}", "good" if ok else "bad")
            for name, ok in found.items()
        ]
        print_line(" ", to.ljust(24), *cells)
        if found != dict.fromkeys(keys, True):
            yield f"the message to {to} has signatures {found}"
    if len(arrived) != 3:
        yield f"{len(arrived)} messages arrived instead of 3"


def _print_next_steps() -> None:
    for step, meaning in (
        ("cp mta.toml /etc/mta/ and edit it", "every setting is in there, with its meaning"),
        ("mta check", "says what the configuration means here, and what is wrong"),
        ("mta domain add YOUR.DOMAIN", "shows the DNS records; then mta domain verify"),
        ("mta key create --name YOUR-APP", "the key is also the SMTP password"),
        ("mta serve", "or the service unit in systemd/"),
    ):
        print_line(" ", Styled(step.ljust(36), "title"), meaning)


def _title(text: str) -> None:
    print_line()
    print_line(Styled(text, "title"))


def _shell(text: str) -> None:
    print_line(" ", Styled(f"$ {text}", "quiet"))
