"""Bounces that come to a host of the tenant's own domain, over real SMTP and a DNS on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.flows.test_domains import NAME, PATH, add, verify
from tests.flows.test_reports import EMAIL, EXTRA, hand_in, send
from tests.support.engine import configuration, running
from tests.support.fake_dns import FakeDns
from tests.support.receiver import Receiver
from tests.support.report_mails import dsn

HOST = f"bounce.{NAME}"


async def test_return_paths_are_in_the_tenants_host_while_its_records_are_right(
    tmp_path: Path,
) -> None:
    extra = EXTRA.replace("bounce.sender.test", "reports.mta.test")
    async with FakeDns({}) as server, Receiver() as receiver:
        text = configuration(
            nameservers=[f"{server.endpoint[0]}:{server.endpoint[1]}"],
            routing={"dest.test": f"smtp://{receiver.address}:{receiver.port}"},
            extra=extra,
        )
        async with running(tmp_path, text) as engine, engine.journal() as until:
            zone = await add(engine)
            assert EMAIL["from"].endswith(f"@{NAME}>")

            async def return_path(number: int) -> str:
                email = await send(engine, f"you{number}@dest.test")
                await until(kind="delivered", email_id=email)
                return (await receiver.wait_for(number))[-1].mail_from

            first = await return_path(1)
            assert first.endswith("@reports.mta.test"), "nothing is verified yet"
            local = first.partition("@")[0]
            refused = await asyncio.to_thread(hand_in, engine, f"{local}@{HOST}", b"Subject: x\r\n")
            assert refused[0] == 550

            server.records = zone
            await verify(engine)
            second = await return_path(2)
            assert second.endswith(f"@{HOST}")
            [_, got] = await receiver.wait_for(2)
            report = dsn(got.data, "you2@dest.test")
            assert (await asyncio.to_thread(hand_in, engine, second, report))[0] == 250
            [event] = await until(kind="reported")
            assert event["recipient"] == "you2@dest.test"
            assert (await asyncio.to_thread(hand_in, engine, f"postmaster@{HOST}", report))[
                0
            ] == 250

            server.records = {name: zone[name] for name in zone if name != HOST}
            found = json.dumps((await verify(engine))["records"])
            assert '"missing"' in found
            assert (await return_path(3)).endswith("@reports.mta.test")
            again = await asyncio.to_thread(hand_in, engine, second, report + b"\r\nonce more\r\n")
            assert again[0] == 250, "what was sent before may still be answered"
            assert (await engine.call("GET", PATH)).body["return_path"] == HOST
