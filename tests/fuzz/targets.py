"""The fuzz targets: each reads octets that anybody may send, and has to give a value or its error.

An error of the reader's own is an answer; any other exception is a finding, and so is an input that
takes longer than libFuzzer's time-out. Not here: running them (run.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

from config.bounce_rules import shipped
from control_api.dialects.handlebars import HandlebarsError, to_liquid
from control_api.multipart import MultipartError, read_form
from control_api.payload import parse_email
from mta.core.address import AddressError, parse_address, parse_mailbox
from mta.core.arf import read_feedback
from mta.core.canonical import body_hash
from mta.core.diagnostic import Diagnostic
from mta.core.dot import DotDecoder, LineCheck
from mta.core.esmtp import Refusal, parse_command, parse_mail, parse_rcpt
from mta.core.header import HeaderBlock, HeaderError, facts
from mta.core.html_links import find_links
from mta.core.json_text import JsonError, decode
from mta.core.mime_reader import read_mail
from mta.core.reply_reader import ReplyError, ReplyReader
from mta.core.report import read_report
from mta.core.suppression_csv import BadRow, CsvError, Listed, Reader
from mta.core.template import Source, TemplateError, Templates
from mta.core.tracking import Tracking, fill, track

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def report(data: bytes) -> None:
    """A bounce, complaint or auto-reply."""
    for recipient in read_report(data, shipped()).recipients:
        assert "@" in recipient.address


def complaint(data: bytes) -> None:
    """A complaint alone, which other readers go before in a report."""
    feedback = read_feedback(read_mail(data))
    assert feedback is None or feedback.feedback_type is not None


def reply(data: bytes) -> None:
    """What a server answers, and what it means."""
    text = data.decode("utf-8", "replace")
    shipped().judge(Diagnostic.read(text))
    reader = ReplyReader()
    try:
        reader.feed(data)
        while reader.next_reply() is not None:
            pass
    except ReplyError:
        return


def address(data: bytes) -> None:
    """An address, alone and with a name."""
    text = data.decode("utf-8", "surrogateescape")
    for parse in (parse_address, parse_mailbox):
        try:
            parse(text)
        except AddressError:
            continue


def header(data: bytes) -> None:
    """A header block."""
    try:
        facts(HeaderBlock.parse(data))
    except HeaderError:
        return


def command(data: bytes) -> None:
    """A line of an SMTP client."""
    try:
        verb, argument = parse_command(data[:4000] + b"\r\n")
        if verb == "MAIL":
            parse_mail(argument, is_extended=True, max_size=2**25)
        elif verb == "RCPT":
            parse_rcpt(argument, is_extended=True, has_smtputf8=True)
    except Refusal:
        return


def message(data: bytes) -> None:
    """The octets after DATA, in one piece and in two."""
    whole, halves = DotDecoder(), DotDecoder()
    middle = len(data) // 2
    content = whole.feed(data)
    cut = halves.feed(data[:middle])
    cut += halves.feed(data[middle:]) if not halves.is_complete else b""
    assert content == cut
    check = LineCheck()
    check.feed(content)
    body_hash(content)


def request(data: bytes) -> None:
    """The JSON of an email."""
    try:
        parse_email(decode(data), now=_NOW)
    except JsonError:
        return


def html(data: bytes) -> None:
    """HTML whose links are tracked."""
    text = data.decode("utf-8", "replace")
    find_links(text)
    pieces, places = track(
        text, Tracking(opens=True, clicks=True), base_url="https://t.test", entropy=bytes(24)
    )
    stored = "".join(pieces).encode()
    assert len(fill(stored, places, b"s" * 32, tenant_id=1, entry=1)) == len(stored)


def template(data: bytes) -> None:
    """A template in Handlebars and one in Liquid."""
    text = data.decode("utf-8", "replace")
    with suppress(HandlebarsError):
        text = to_liquid(text)
    try:
        Templates().compiled(Source("s", text)).render({"a": [1, {"b": "<"}], "c": "d" * 100})
    except TemplateError:
        return


def suppressions(data: bytes) -> None:
    """A list in CSV, in one piece and in two."""
    middle = len(data) // 2
    assert _rows(data) == _rows(data[:middle], data[middle:])


def _rows(*pieces: bytes) -> list[Listed | BadRow] | None:
    reader, rows = Reader(), []
    try:
        for piece in pieces:
            rows += reader.feed(piece)
        return [*rows, *reader.feed(b"", is_last=True)]
    except CsvError:
        return None


def form(data: bytes) -> None:
    """A form with a file, read as it comes."""
    asyncio.run(_read_form(data))


async def _read_form(data: bytes) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield data[: len(data) // 2]
        yield data[len(data) // 2 :]

    try:
        await read_form(stream(), "multipart/form-data; boundary=b", "file", lambda _: None)
    except MultipartError:
        return


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    target.__name__: target
    for target in (
        *(report, complaint, reply, address, header, command, message, request, html),
        *(template, suppressions, form),
    )
}
