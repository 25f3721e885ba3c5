"""A nameserver for tests: UDP and TCP on one port of 127.0.0.1, records from a dict, misbehaviour.

    async with FakeDns({"a.test": {"MX": ["10 mx.test."]}, "mx.test": {"A": ["192.0.2.1"]}}) as dns:
        Resolver([dns.endpoint], ...)
    assert dns.queries["a.test", "MX"] == 1

A name that is not in the dict is NXDOMAIN; a name without the type asked for is NODATA; a CNAME
record is followed as a recursive nameserver does.
"""

from __future__ import annotations

import asyncio
import enum
from collections import Counter
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Self, cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class Fault(enum.Enum):
    """What to do in place of an answer."""

    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    GARBAGE = "garbage"
    WRONG_ID = "wrong id only"
    SPOOFED = "wrong id, then the right answer"
    TRUNCATED = "truncated over UDP, whole over TCP"
    NO_TCP = "truncated over UDP, closed over TCP"
    CNAME_LOOP = "an alias of itself"


Records = Mapping[str, Sequence[str]] | Fault
"""Type -> records as in a zone file, names absolute; or a fault for every type."""

SOA = "ns.test. hostmaster.test. 1 3600 600 86400 {ttl}"


class FakeDns:
    """The nameserver.

    Attributes:
        records: may be changed while it runs; names without final dot, in lower case.
        queries: (name, type) -> number of UDP queries and TCP queries.
        ttl: seconds, of every record and of negative answers.
        gate: answers wait until it is set, as it is at first.
        waiting, most_at_once: queries that wait for the gate, now and at worst.
    """

    def __init__(self, records: MutableMapping[str, Records] | None = None, ttl: int = 60) -> None:
        self.records: MutableMapping[str, Records] = {} if records is None else records
        self.queries: Counter[tuple[str, str]] = Counter()
        self.ttl = ttl
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.most_at_once = 0
        self.endpoint = ("", 0)
        self._changed = asyncio.Condition()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on a port that is free for both protocols."""
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, host, port)
        self.endpoint = self._tcp.sockets[0].getsockname()[:2]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=self.endpoint
        )

    async def stop(self) -> None:
        """Stop listening."""
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    async def wait_for(self, count: int, within: float = 10.0) -> None:
        """Wait until so many queries wait for the gate."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: self.waiting >= count)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def received(self, transport: asyncio.DatagramTransport, wire: bytes, client: object) -> None:
        """Answer a datagram, later if the gate is closed."""
        task = asyncio.get_running_loop().create_task(self._serve_udp(transport, wire, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve_udp(
        self, transport: asyncio.DatagramTransport, wire: bytes, client: object
    ) -> None:
        query = dns.message.from_wire(wire)
        fault = self._note(query)
        self.waiting += 1
        self.most_at_once = max(self.most_at_once, self.waiting)
        async with self._changed:
            self._changed.notify_all()
        try:
            await self.gate.wait()
        finally:
            self.waiting -= 1
        for packet in self._packets(query, fault):
            transport.sendto(packet, client)  # type: ignore[arg-type]

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        query = dns.message.from_wire(await reader.readexactly(size))
        if self._note(query) is not Fault.NO_TCP:
            answer = self._answer(query).to_wire(max_size=65535)
            writer.write(len(answer).to_bytes(2, "big") + answer)
            await writer.drain()
        writer.close()

    def _note(self, query: dns.message.Message) -> Fault | None:
        name, kind = _question(query)
        self.queries[name, kind] += 1
        records = self.records.get(name)
        return records if isinstance(records, Fault) else None

    def _packets(self, query: dns.message.Message, fault: Fault | None) -> list[bytes]:
        answer = self._answer(query)
        match fault:
            case Fault.TIMEOUT:
                return []
            case Fault.SERVFAIL | Fault.REFUSED:
                answer.set_rcode(dns.rcode.from_text(fault.name))
            case Fault.GARBAGE:
                return [answer.to_wire()[:2] + b"\xff" * 40]
            case Fault.TRUNCATED | Fault.NO_TCP:
                answer.answer.clear()
                answer.flags |= dns.flags.TC
            case Fault.CNAME_LOOP:
                name = answer.question[0].name
                alias = dns.rrset.from_text(name, self.ttl, "IN", "CNAME", name.to_text())
                answer.answer = [alias]
        wire = answer.to_wire(max_size=65535)
        wrong = bytes([wire[0] ^ 1]) + wire[1:]
        match fault:
            case Fault.WRONG_ID:
                return [wrong]
            case Fault.SPOOFED:
                return [wrong, wrong, wire]
        return [wire]

    def _answer(self, query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        name, kind = _question(query)
        if isinstance(self.records.get(name), Fault):
            self._add(answer, name, kind, SPARE.get(kind, []))
            return answer
        for _ in range(8):
            records = self.records.get(name)
            if records is None or isinstance(records, Fault):
                answer.set_rcode(dns.rcode.NXDOMAIN)
                break
            if kind in records or "CNAME" not in records:
                self._add(answer, name, kind, records.get(kind, []))
                break
            self._add(answer, name, "CNAME", records["CNAME"])
            name = records["CNAME"][0].removesuffix(".")
        if not answer.answer or answer.rcode() == dns.rcode.NXDOMAIN:
            soa = dns.rrset.from_text("test.", self.ttl, "IN", "SOA", SOA.format(ttl=self.ttl))
            answer.authority.append(soa)
        return answer

    def _add(
        self, answer: dns.message.Message, name: str, kind: str, records: Sequence[str]
    ) -> None:
        if records:
            answer.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", kind, *records))


SPARE = {"A": ["192.0.2.99"], "MX": ["10 spare.test."]}
"""Answers of names whose records are a fault that answers in the end."""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FakeDns) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: object) -> None:
        assert self._transport is not None
        self._server.received(self._transport, data, addr)


def _question(query: dns.message.Message) -> tuple[str, str]:
    question = query.question[0]
    name = question.name.to_text().removesuffix(".").lower()
    return name, dns.rdatatype.to_text(question.rdtype)
