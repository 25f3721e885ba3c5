"""The other end of every delivery: a nameserver and an SMTP server that follow the fates.

Each domain of the cases has its own loopback address; the address that was dialled and the
recipient decide what is answered. Mail to the return paths is kept: that is the harvest.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message

from maker.cases import ORIGIN, RETURNS, Case, Target
from maker.fates import ACCEPTED, Fate, Stage
from tests.support.fake_dns import FakeDns, Fault, Records

CATCHER = "127.0.0.2"
SMARTHOST = "127.0.0.3"
CLOSED = "127.0.0.4"
UNREACHABLE = "192.0.2.55"
OPENING = frozenset({Stage.GREETING, Stage.EHLO, Stage.MAIL, Stage.NETWORK})


@dataclass(frozen=True, slots=True)
class Caught:
    """A report: the return path it came to (as sent to us) and its bytes, CRLF ended."""

    return_path: str
    data: bytes


@dataclass(slots=True)
class Map:
    """Which address and which recipient has which fate."""

    by_ip: dict[str, Target] = field(default_factory=dict)
    by_address: dict[str, Target] = field(default_factory=dict)
    records: dict[str, Records] = field(default_factory=dict)


def lay_out(cases: Sequence[Case]) -> Map:
    """Give each domain a loopback address and its DNS records."""
    plan = Map()
    for name in (RETURNS, ORIGIN):
        plan.records[name] = {"MX": [f"10 mx.{name}."], "A": [CATCHER]}
        plan.records[f"mx.{name}"] = {"A": [CATCHER]}
    plan.records[f"mail.{ORIGIN}"] = {"A": ["127.0.0.1"]}
    plan.records["1.0.0.127.in-addr.arpa"] = {"PTR": [f"mail.{ORIGIN}."]}
    domains: dict[str, Target] = {}
    for target in (target for case in cases for target in case.targets):
        plan.by_address[_key(target.address)] = target
        known = domains.get(target.domain.lower())
        if known is None or target.fate.stage in OPENING:
            domains[target.domain.lower()] = target
    for index, (domain, target) in enumerate(domains.items()):
        _add_domain(plan, domain, target, f"127.0.{1 + index // 200}.{1 + index % 200}")
    return plan


def _add_domain(plan: Map, domain: str, target: Target, address: str) -> None:
    host = f"mx1.{domain}"
    plan.records[domain] = {"MX": [f"10 {host}."]}
    match target.fate.name:
        case "nxdomain":
            del plan.records[domain]
        case "nodata":
            plan.records[domain] = {"TXT": ['"nothing here"']}
        case "nullmx":
            plan.records[domain] = {"MX": ["0 ."]}
        case "nohost":
            pass
        case "servfail":
            plan.records[domain] = Fault.SERVFAIL
        case "refused":
            plan.records[host] = {"A": [CLOSED]}
        case "unreachable":
            plan.records[host] = {"A": [UNREACHABLE]}
        case _:
            plan.records[host] = {"A": [address]}
            plan.by_ip[address] = target


def _key(address: str) -> str:
    return address.replace('"', "").lower()


class _Nameserver(FakeDns):
    """A recursive one: without that flag the C library takes an empty answer for a lame server."""

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = super()._answer(query)
        answer.flags |= dns.flags.RA
        return answer


class Receiver:
    """The nameserver on port 53 and the SMTP server on port 25 of many loopback addresses.

    Attributes:
        caught: what came back, in order; grown is set at every report.
    """

    def __init__(self, plan: Map) -> None:
        self.caught: list[Caught] = []
        self.grown = asyncio.Event()
        self._plan = plan
        self._dns = _Nameserver(plan.records)
        self._smtp: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen."""
        await self._dns.start(port=53)
        hosts = [CATCHER, SMARTHOST, *self._plan.by_ip]
        self._smtp = await asyncio.start_server(self._serve, hosts, 25, limit=1 << 20)

    async def keep_log(self, path: Path) -> None:
        """Write what comes to the system log to a file."""
        there = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        there.bind("/dev/log")
        Path("/dev/log").chmod(0o666)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: _Log(path), sock=there)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        local = writer.get_extra_info("sockname")[0]
        session = _Session(self, self._plan.by_ip.get(local), self._plan.by_address)
        try:
            await session.run(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the mail server under test hung up, as good an end as QUIT; or all is over
        finally:
            writer.close()

    @property
    def seen(self) -> set[str]:
        """Return the return paths, in lower case, that have had a report."""
        return {item.return_path.lower() for item in self.caught}

    def catch(self, return_path: str, data: bytes) -> None:
        """Keep a report."""
        self.caught.append(Caught(return_path, data))
        self.grown.set()


class _Log(asyncio.DatagramProtocol):
    def __init__(self, path: Path) -> None:
        self._path = path

    def datagram_received(self, data: bytes, addr: object) -> None:
        with self._path.open("ab") as log:
            log.write(data.strip(b"\n\0") + b"\n")


class _Session:
    """One connection."""

    def __init__(
        self, owner: Receiver, opening: Target | None, recipients: Mapping[str, Target]
    ) -> None:
        self._owner = owner
        self._opening = opening
        self._recipients = recipients
        self._taken: list[str] = []

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = self._opening.fate.name if self._opening else ""
        if name == "silent":
            await reader.read()
            return
        if name == "hangup":
            return
        answer = self._scripted(Stage.GREETING) or [f"220 {self._host()} ESMTP ready"]
        await _say(writer, answer)
        while line := await reader.readline():
            verb = line[:4].upper()
            answer = self._answer(verb, line)
            await _say(writer, answer)
            if verb == b"DATA" and answer[0].startswith("354"):
                data = await _read_message(reader)
                if any(self._fate(address).name == "lost" for address in self._taken):
                    return
                await _say(writer, self._finish(data))
            if verb == b"QUIT" or answer[0].startswith("421"):
                return

    def _host(self) -> str:
        return f"mx1.{self._opening.domain.lower()}" if self._opening else f"mx.{RETURNS}"

    def _scripted(self, stage: Stage, address: str = "") -> list[str]:
        """Return the scripted reply for a stage, or nothing when it is none of its business."""
        target = self._recipients.get(_key(address)) if address else self._opening
        if target is None or target.fate.stage is not stage:
            return []
        return target.fate.lines(target.address, target.domain)

    def _fate(self, address: str) -> Fate:
        target = self._recipients.get(_key(address))
        return target.fate if target else ACCEPTED

    def _answer(self, verb: bytes, line: bytes) -> list[str]:
        match verb:
            case b"EHLO":
                answer = self._scripted(Stage.EHLO) or self._extensions()
            case b"HELO":
                answer = self._scripted(Stage.EHLO) or [f"250 {self._host()}"]
            case b"MAIL":
                self._taken = []
                answer = self._scripted(Stage.MAIL) or ["250 2.1.0 Ok"]
            case b"RCPT":
                answer = self._recipient(line.decode().partition("<")[2].rpartition(">")[0])
            case b"DATA":
                answer = self._data()
            case b"QUIT":
                answer = ["221 2.0.0 Bye"]
            case _:
                answer = ["250 2.0.0 Ok"]
        return answer

    def _extensions(self) -> list[str]:
        names = ("PIPELINING", "SMTPUTF8", "8BITMIME")
        middle = [f"250-{name}" for name in names]
        return [f"250-{self._host()}", *middle, "250 ENHANCEDSTATUSCODES"]

    def _recipient(self, address: str) -> list[str]:
        refusal = self._scripted(Stage.RCPT, address)
        if not refusal:
            self._taken.append(address)
        return refusal or ["250 2.1.5 Ok"]

    def _data(self) -> list[str]:
        if not self._taken:
            return ["554 5.5.1 No valid recipients"]
        return self._first(Stage.DATA) or ["354 End data with <CR><LF>.<CR><LF>"]

    def _first(self, stage: Stage) -> list[str]:
        answers = [self._scripted(stage, address) for address in self._taken]
        return next((answer for answer in answers if answer), [])

    def _finish(self, data: bytes) -> list[str]:
        for address in self._taken:
            if address.lower().endswith((f"@{RETURNS}", f"@{ORIGIN}", f"@mail.{ORIGIN}")):
                self._owner.catch(address, data)
        return self._first(Stage.FINAL) or ["250 2.0.0 Ok: taken"]


async def _say(writer: asyncio.StreamWriter, lines: Sequence[str]) -> None:
    writer.write("".join(f"{line}\r\n" for line in lines).encode())
    await writer.drain()


async def _read_message(reader: asyncio.StreamReader) -> bytes:
    lines = []
    while (line := await reader.readline()) not in (b".\r\n", b""):
        lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
    return b"".join(lines)
