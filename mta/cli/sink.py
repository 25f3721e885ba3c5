"""`mta sink`: a receiving server to point tests at; mta/sink.py is what it does with mail."""

from __future__ import annotations

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from config.units import BadValueError, Endpoint, endpoint
from mta.cli.failure import Failure
from mta.cli.options import TimeSpan, json_option
from mta.cli.output import Styled, clock, print_json, print_line, print_note, stamp
from mta.sink import Sink, SinkMessage, SinkRules
from mta.smtp_listener import SmtpListener
from mta.smtp_session import Limits, Service

HOSTNAME = "sink.localhost"
LIMITS = Limits(connections=10_000, connections_per_address=10_000)
"""A sink is for load tests too."""


class Listener(click.ParamType[Endpoint]):
    """host:port."""

    name = "host:port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Endpoint:
        """Read the endpoint."""
        try:
            return value if isinstance(value, Endpoint) else endpoint(value)
        except BadValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--listen",
    type=Listener(),
    default="127.0.0.1:2526",
    show_default=True,
    help="Where to receive; port 0 takes a free one.",
)
@click.option(
    "--store",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write each message as a .eml file, its envelope as .json.",
)
@click.option("--refuse", multiple=True, metavar="GLOB", help='550 to these, such as "no*@a.test".')
@click.option("--defer-first", default=0, metavar="N", help="451 to the first N tries of each.")
@click.option("--delay", type=TimeSpan(), default="0s", help='Wait before taking, such as "2s".')
@json_option
def command(**options: Any) -> None:
    """Receive mail and show it, until Ctrl-C. Nothing is passed on.

    Point domains at it in mta.toml, [routing]: "example.com" = "smtp://127.0.0.1:2526", and set
    delivery.allow_private_destinations.
    """
    is_json = options["is_json"]
    rules = SinkRules(
        defer_first=options["defer_first"],
        refuse=tuple(pattern.lower() for pattern in options["refuse"]),
        delay=options["delay"],
        directory=options["store"],
        keep=0,
    )
    sink = Sink(
        rules,
        now=lambda: datetime.now(UTC),
        on_message=_print_as_json if is_json else _print,
    )
    asyncio.run(_receive(sink, options["listen"]))


async def _receive(sink: Sink, at: Endpoint) -> None:
    """Listen until SIGINT or SIGTERM."""
    listener = SmtpListener(Service(HOSTNAME, sink, LIMITS))
    try:
        bound = await listener.start([(at.host, at.port)])
    except OSError as error:
        raise Failure(f"{at}: {error.strerror}") from None
    print_note(f"receiving at {', '.join(str(Endpoint(*one)) for one in bound)}; Ctrl-C ends it")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await listener.stop(timedelta(seconds=5))
    print_note(f"messages received: {sink.received}")


def _print(message: SinkMessage) -> None:
    print_line(
        clock(message.received_at),
        Styled(f"#{message.number}", "good"),
        f"<{message.envelope.mail_from or ''}> to {', '.join(_recipients(message))}",
        Styled(f"{len(message.data)} bytes from {message.session.address}", "quiet"),
    )


def _print_as_json(message: SinkMessage) -> None:
    print_json(
        {
            "number": message.number,
            "received_at": stamp(message.received_at),
            "client": message.session.address,
            "mail_from": str(message.envelope.mail_from or ""),
            "recipients": _recipients(message),
            "size": len(message.data),
        }
    )


def _recipients(message: SinkMessage) -> list[str]:
    return [str(recipient.address) for recipient in message.envelope.recipients]
