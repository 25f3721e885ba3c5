"""The verdicts of npm's mailauth on the DKIM signatures of a message, without any network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mta.core.domain_records import WantedRecord
from tests.support.tools import find_tool


@dataclass(frozen=True)
class Verdict:
    """What mailauth says about one signature: "pass", "fail", "neutral", ..."""

    algorithm: str
    domain: str
    selector: str
    result: str


def dkim_verdicts(
    message: bytes, records: Iterable[WantedRecord], directory: Path
) -> tuple[Verdict, ...]:
    """Return one verdict for each DKIM-Signature field, from the top.

    Args:
        message: the whole message.
        records: all the DNS that exists.
        directory: for the file that stands in for the DNS.
    """
    program = find_tool("mailauth")
    dns = directory / "dns.json"
    dns.write_text(json.dumps({record.name: {record.type: [[record.value]]} for record in records}))
    done = subprocess.run(
        [program, "report", "--dns-cache", str(dns)],
        input=message,
        capture_output=True,
        timeout=30,
        check=True,
    )
    return tuple(
        Verdict(
            algorithm=result["algo"],
            domain=result["signingDomain"],
            selector=result["selector"],
            result=result["status"]["result"],
        )
        for result in json.loads(done.stdout)["dkim"]["results"]
    )
