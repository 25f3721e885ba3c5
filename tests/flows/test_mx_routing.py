"""Real MX lookups against a DNS server on loopback, several MX hosts, the first one dead."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.support.engine import configuration, running
from tests.support.fake_dns import FakeDns, Fault
from tests.support.receiver import Receiver

MESSAGE = b"From: a@sender.test\r\nTo: x\r\nSubject: s\r\n\r\nbody\r\n"


def free_port() -> int:
    """Return a port that nothing listens on at any 127.0.0.x, as far as can be told."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def test_the_next_mx_host_gets_mail_when_the_first_is_dead(tmp_path: Path) -> None:
    port = free_port()
    second, third = Receiver(name="mx2.dest.test"), Receiver(name="mx3.dest.test")
    await second.start("127.0.0.22", port)
    await third.start("127.0.0.33", port)
    records = {
        "dest.test": {"MX": ["10 mx1.dest.test.", "20 mx2.dest.test.", "30 mx3.dest.test."]},
        "mx1.dest.test": {"A": ["127.0.0.11"]},
        "mx2.dest.test": {"A": ["127.0.0.22"]},
        "mx3.dest.test": {"A": ["127.0.0.33"]},
        "null.test": {"MX": ["0 ."]},
        "broken.test": Fault.SERVFAIL,
    }
    try:
        async with FakeDns(records) as dns:
            config = configuration(
                nameservers=[f"{dns.endpoint[0]}:{dns.endpoint[1]}"],
                delivery=f'port = {port}\nretry = {{ first = "300ms", lifetime = "20s" }}',
            )
            async with running(tmp_path, config) as engine, engine.journal() as until:
                email = await engine.submit(
                    MESSAGE,
                    "a@sender.test",
                    "one@dest.test",
                    "two@dest.test",
                    "x@null.test",
                    "y@absent.test",
                    "z@broken.test",
                )
                delivered = await until(count=2, kind="delivered", email_id=email)
                bounced = await until(count=2, kind="bounced", email_id=email)
                (deferred, *_) = await until(kind="deferred", email_id=email)
                received = await second.wait_for(1)
    finally:
        await second.stop()
        await third.stop()
    assert {event["data"]["host"] for event in delivered} == {"mx2.dest.test"}
    assert received[0].recipients == ["one@dest.test", "two@dest.test"]  # one transaction
    assert third.messages == []
    assert {event["recipient"] for event in bounced} == {"x@null.test", "y@absent.test"}
    assert {event["data"]["class"] for event in bounced} == {"bad_domain"}
    assert (deferred["recipient"], deferred["data"]["why"]) == ("z@broken.test", "dns")
