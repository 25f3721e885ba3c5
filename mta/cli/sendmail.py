"""`mta sendmail`: the command that cron, PHP and thirty years of programs call to send mail.

Reads a message from standard input and submits it to the running engine. Options that only make
sense for a whole sendmail are taken and ignored. Exit codes are those of sysexits(3).
"""

from __future__ import annotations

import getpass
import os
import re
import sys
from collections.abc import Iterator
from email.utils import formataddr, getaddresses
from typing import Any

import click

from config.settings import Settings, SettingsError
from mta.cli.environment import Environment
from mta.cli.failure import TEMPORARY, Failure
from mta.cli.submission import SubmissionError, first_listener, submit
from mta.core.address import Address, AddressError, parse_address
from mta.core.frozen import frozen

EX_USAGE, EX_UNAVAILABLE, EX_NOPERM = 64, 69, 77

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
_RECIPIENT_FIELDS = {b"to", b"cc", b"bcc"}


class SendmailCommand(click.Command):
    """A command whose usage errors end with EX_USAGE."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Parse the arguments."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise Failure(error.format_message(), EX_USAGE) from None


@frozen
class Call:
    """The command line.

    Attributes:
        recipients: as arguments.
        from_header: add those of To, Cc and Bcc.
        is_dot_ordinary: a line that holds one dot does not end the message.
        sender: return path; "" and "<>" are the null path, None is the calling user.
        full_name: for a From field, where the message has none.
        configuration: -o options; of them only "i" means something.
        mode: "m" sends.
    """

    recipients: tuple[str, ...]
    from_header: bool
    is_dot_ordinary: bool
    sender: str | None
    full_name: str
    configuration: tuple[str, ...]
    mode: str


@click.command(cls=SendmailCommand)
@click.option("-t", "from_header", is_flag=True, help="Recipients from To, Cc and Bcc as well.")
@click.option("-i", "is_dot_ordinary", is_flag=True, help="A line with one dot ends nothing.")
@click.option("-f", "-r", "sender", metavar="ADDRESS", help="Return path; <> is the null path.")
@click.option("-F", "full_name", metavar="NAME", default="", help="Name for a missing From field.")
@click.option("-o", "configuration", metavar="X", multiple=True, help="-oi is -i; others: ignored.")
@click.option("-b", "mode", metavar="m", default="m", help="Only -bm, the default.")
@click.option(
    "-B", "-N", "-R", "-V", "-X", "-O", "-L", multiple=True, hidden=True, expose_value=False
)
@click.option("-v", "-G", "-U", "-n", "-m", is_flag=True, hidden=True, expose_value=False)
@click.argument("recipients", nargs=-1)
@click.pass_obj
def command(environment: Environment, /, **options: Any) -> None:
    """Send the message on standard input to RECIPIENTS, as sendmail(8) does.

    Exit codes: 0 accepted, 64 usage, 69 refused, 75 try later, 77 not allowed.
    """
    call = Call(**options)
    if call.mode != "m":
        raise Failure(f"-b{call.mode} is not offered; the queue is in `mta queue list`", EX_USAGE)
    settings = _settings(environment)
    host = settings.server.hostname
    fields, body = split_message(_read(sys.stdin.buffer, call))
    try:
        sender = _sender(call, host)
        recipients = [_qualified(text, host) for text in _recipients(call, fields)]
    except AddressError as error:
        raise Failure(str(error), EX_USAGE) from None
    if not recipients:
        raise Failure("no recipients: name them as arguments, or use -t", EX_USAGE)
    if not any(name(field) == b"from" for field in fields):
        fields.insert(0, _from_field(call, sender, host))
    message = b"".join(fields) + b"\r\n" + body
    try:
        submit(first_listener(settings), sender, recipients, message)
    except SubmissionError as error:
        raise Failure(str(error), _exit_code(error)) from None


def split_message(lines: list[bytes]) -> tuple[list[bytes], bytes]:
    """Return the header fields (folded ones whole) and the body, all with CRLF.

    The header ends at a blank line or, as sendmail has it, at the first line that is no field. A
    "From " line of a mailbox file in front is dropped.
    """
    fields: list[bytes] = []
    if lines and lines[0].startswith((b"From ", b">From ")):
        lines = lines[1:]
    for number, line in enumerate(lines):
        if line == b"\r\n":
            return fields, b"".join(lines[number + 1 :])
        if fields and line.startswith((b" ", b"\t")):
            fields[-1] += line
        elif _FIELD.match(line):
            fields.append(line)
        else:
            return fields, b"".join(lines[number:])
    return fields, b""


def name(field: bytes) -> bytes:
    """Return a field's name in lower case."""
    return field.partition(b":")[0].strip().lower()


def _read(stream: Any, call: Call) -> list[bytes]:
    """Return the lines of the message, CRLF ended, up to a lone dot where that ends it."""
    lines = [line + b"\r\n" for line in stream.read().splitlines()]
    if not call.is_dot_ordinary and "i" not in call.configuration and b".\r\n" in lines:
        del lines[lines.index(b".\r\n") :]
    return lines


def _settings(environment: Environment) -> Settings:
    """Return the settings; the defaults where the caller cannot read the file."""
    try:
        return environment.settings
    except SettingsError:
        return Settings()


def _sender(call: Call, host: str) -> Address | None:
    if call.sender is None:
        return _qualified(_user(), host)
    given = call.sender.strip().removeprefix("<").removesuffix(">")
    return _qualified(given, host) if given else None


def _user() -> str:
    """Return the calling user's name; its number where nobody has given it a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid{os.getuid()}"


def _recipients(call: Call, fields: list[bytes]) -> Iterator[str]:
    yield from call.recipients
    if call.from_header:
        values = [
            field.partition(b":")[2].decode("utf-8", "surrogateescape")
            for field in fields
            if name(field) in _RECIPIENT_FIELDS
        ]
        yield from (address for _, address in getaddresses(values) if address)


def _qualified(text: str, host: str) -> Address:
    """Return the address; a bare user name is one of this host."""
    return parse_address(text if "@" in text else f"{text}@{host}")


def _from_field(call: Call, sender: Address | None, host: str) -> bytes:
    address = str(sender or _qualified(_user(), host))
    return b"From: " + formataddr((call.full_name, address)).encode() + b"\r\n"


def _exit_code(error: SubmissionError) -> int:
    if error.is_temporary:
        return TEMPORARY
    is_policy = error.reply is not None and (
        error.reply.code in {530, 535} or error.reply.enhanced.startswith("5.7.")
    )
    return EX_NOPERM if is_policy else EX_UNAVAILABLE
