"""A domain's signing keys are replaced under load: all mail is signed, and rightly. (N08)"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dkim
import dns.rdatatype
import pytest

from tests.flows.test_domains import NAME, PATH, add, zone_of
from tests.support.engine import Engine, configuration, running
from tests.support.fake_dns import FakeDns
from tests.support.receiver import Receiver
from tests.support.tools import require_module

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

EMAIL = {"from": f"app@{NAME}", "to": "bee@dest.test", "subject": "s", "text": "t"}
EXTRA = '[domains]\ncheck_interval = "200ms"\n'


async def send(engine: Engine, until: asyncio.Event) -> int:
    """Submit one email after the other; return how many there were."""
    count = 0
    while not until.is_set():
        answer = await engine.call("POST", "/v1/emails", EMAIL)
        assert answer.status == 200, answer.body
        count += 1
    return count


async def state_of_keys(engine: Engine) -> dict[str, str]:
    found = (await engine.call("GET", PATH)).body
    return {key["selector"]: key["state"] for key in found["dkim"]}


def verified(data: bytes, zone: Mapping[str, Any]) -> set[str]:
    """Return the selectors of all signatures; each must be good by what the zone says."""

    def look_up(name: bytes, timeout: int = 5) -> bytes:
        [text] = zone[name.decode().rstrip(".")]["TXT"]
        return b"".join(dns.rdata.from_text("IN", "TXT", text).strings)

    message = dkim.DKIM(data)
    count = data.lower().count(b"\r\ndkim-signature:") + data.lower().startswith(b"dkim-signature:")
    found = set()
    for index in range(count):
        assert dkim.DKIM(data).verify(index, dnsfunc=look_up)
    for name, value in message.headers:
        if name.lower() == b"dkim-signature":
            tags = dict(part.strip().partition(b"=")[::2] for part in value.split(b";"))
            found.add(tags[b"s"].decode())
    return found


async def test_n08_while_keys_are_replaced_all_mail_is_signed_and_rightly(tmp_path: Path) -> None:
    require_module("nacl")  # which dkimpy verifies Ed25519 with
    enough = asyncio.Event()
    async with FakeDns({}) as nameserver, Receiver() as receiver:
        config = configuration(
            routing={"*": f"smtp://{receiver.address}:{receiver.port}"},
            nameservers=["{}:{}".format(*nameserver.endpoint)],
            processes=2,
            extra=EXTRA,
        )
        async with running(tmp_path, config) as engine:
            nameserver.records = dict(await add(engine))
            assert (await engine.call("POST", f"{PATH}/verify")).status == 200
            sending = [asyncio.create_task(send(engine, enough)) for _ in range(3)]
            await receiver.wait_for(20)
            assert (await engine.call("POST", f"{PATH}/dkim/rotate")).status == 200
            _, text, _ = await engine.mta("domain", "zonefile", NAME)
            nameserver.records.update(zone_of(text))
            async with asyncio.timeout(60):
                while set((await state_of_keys(engine)).values()) != {"active", "retired"}:
                    await asyncio.sleep(0.05)
            count = len(receiver.messages)
            await receiver.wait_for(count + 20)
            enough.set()
            sent = sum(await asyncio.gather(*sending))
            got = await receiver.wait_for(sent)
            zone = nameserver.records
            assert await engine.stop() == 0
    signed = [verified(one.data, zone) for one in got]
    old, new = {"mta1", "mta1-ed25519"}, {"mta2", "mta2-ed25519"}
    assert all(one in (old, new) for one in signed)
    assert signed.count(old) >= 20
    assert signed[-1] == new
