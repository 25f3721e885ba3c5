"""`mta send`: compose one message and hand it to the running engine."""

from __future__ import annotations

import mimetypes
import sys
from pathlib import Path
from typing import Any

import click

from mta.cli.environment import Environment
from mta.cli.failure import NOT_SO, TEMPORARY, USAGE, Failure
from mta.cli.options import json_option
from mta.cli.output import Styled, print_json, print_line
from mta.cli.submission import SubmissionError, first_listener, submit
from mta.core.address import parse_mailbox
from mta.core.frozen import frozen
from mta.core.mime import Attachment, ComposeError, Draft, Mailbox, compose


@frozen
class Letter:
    """The command line: what to send.

    Attributes:
        sender, to, cc, bcc: addresses, with or without a name.
        text, html: bodies, None for none; "-" as text reads standard input.
        files: to attach.
        headers: further fields, "Name: value".
    """

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    bcc: tuple[str, ...]
    subject: str
    text: str | None
    html: str | None
    files: tuple[Path, ...]
    headers: tuple[str, ...]
    is_json: bool


@click.command()
@click.option("--from", "sender", required=True, metavar="ADDRESS", help="The author.")
@click.option("--to", multiple=True, required=True, metavar="ADDRESS", help="May be repeated.")
@click.option("--cc", multiple=True, metavar="ADDRESS", help="May be repeated.")
@click.option("--bcc", multiple=True, metavar="ADDRESS", help="May be repeated; not shown.")
@click.option("--subject", default="", help="One line of text.")
@click.option("--text", help='Plain text body; "-" reads standard input.')
@click.option("--html", help="HTML body.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Attach a file; may be repeated.",
)
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="One more field.")
@json_option
@click.pass_obj
def command(environment: Environment, /, **options: Any) -> None:
    r"""Send one message through the running engine and print its id.

    \b
    mta send --from me@example.com --to you@example.net --subject Hello --text "How are you?"
    """
    letter = Letter(**options)
    draft = _draft(environment, letter)
    try:
        message = compose(draft, boundary_seed=draft.message_id)
    except ComposeError as error:
        raise Failure(str(error), USAGE) from None
    everyone = [box.address for box in (*draft.to, *draft.cc, *draft.bcc)]
    try:
        listener = first_listener(environment.settings)
        email_id = submit(listener, draft.from_.address, everyone, message)
    except SubmissionError as error:
        raise Failure(str(error), TEMPORARY if error.is_temporary else NOT_SO) from None
    if letter.is_json:
        print_json({"id": email_id, "message_id": draft.message_id})
    else:
        print_line(Styled("accepted", "good"), email_id)
        print_line(Styled(f"follow it with: mta message show {email_id}", "quiet"))


def _draft(environment: Environment, letter: Letter) -> Draft:
    text = sys.stdin.read() if letter.text == "-" else letter.text
    if text is None and letter.html is None:
        raise click.UsageError("give --text or --html")
    return Draft(
        from_=_mailbox(letter.sender),
        to=tuple(map(_mailbox, letter.to)),
        cc=tuple(map(_mailbox, letter.cc)),
        bcc=tuple(map(_mailbox, letter.bcc)),
        reply_to=(),
        subject=letter.subject,
        text=text,
        html=letter.html,
        headers=tuple(map(_header, letter.headers)),
        attachments=tuple(map(_attachment, letter.files)),
        message_id=f"<{environment.new_id('msg')}@{environment.settings.server.hostname}>",
        date=environment.now().astimezone(),
    )


def _mailbox(text: str) -> Mailbox:
    return Mailbox(*parse_mailbox(text))


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.UsageError(f"--header {text!r} has no colon; write 'Name: value'")
    return name.strip(), value.strip()


def _attachment(path: Path) -> Attachment:
    content_type, encoding = mimetypes.guess_type(path.name)
    return Attachment(path.name, path.read_bytes(), "" if encoding else content_type or "")
