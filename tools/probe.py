"""Outside tools against a running engine on loopback: what they say, and whether that is fine.

    python -m tools.probe            all; python -m tools.probe --only swaks,nmap

nmap (open relay, user enumeration), testssl.sh, slowhttptest, swaks and schemathesis, from Debian's
packages and PyPI. A tool that is not installed is an error, not a pass. Nothing but 127.0.0.1 is
ever contacted.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random

import trustme

from tests.faults.harness.ledger import Ledger
from tests.faults.harness.recorder import Recorder
from tests.faults.harness.targets import Mailwright, free_port

EXTRA = """
[tls]
certificate = "{directory}/tls.crt"
key = "{directory}/tls.key"
[smtp.reports]
listen = ["127.0.0.1:{reports_port}"]
domain = "bounce.sender.test"
"""

Verdict = tuple[bool, str]


class Probes:
    """Every probe of one engine."""

    def __init__(self, engine: Mailwright, reports_port: int) -> None:
        self._engine = engine
        self._reports_port = reports_port

    def nmap(self) -> Verdict:
        """Relay and enumeration on both ports, as one who is not trusted."""
        seen = _run(
            "nmap -Pn -n -p {port},{reports} --script +smtp-open-relay,+smtp-enum-users"
            " --script-args smtp.domain=example.test,smtp-enum-users.methods={{VRFY,EXPN,RCPT}}"
            " 127.0.0.1",
            port=self._engine.smtp_port,
            reports=self._reports_port,
        )
        # It also says so when it is hung up on, after too many commands that were refused.
        is_closed = "smtp-open-relay" in seen and "Server is an open relay" not in seen
        enumerated = re.findall(r"smtp-enum-users:\s*\n((?:\|.*\n)+)", seen)
        # Its verdict is a list of user names, or one of its complaints.
        found = [line for line in "".join(enumerated).splitlines() if "root" in line]
        lines = [line for line in seen.splitlines() if "relay" in line or "enum" in line]
        return is_closed and not found, " ".join(lines)

    def testssl(self) -> Verdict:
        """Protocols, ciphers and known holes of STARTTLS."""
        seen = _run(
            "testssl --quiet --warnings off --color 0 -p -s -U --starttls smtp 127.0.0.1:{port}",
            port=self._engine.smtp_port,
        )
        bad = [
            line.strip() for line in seen.splitlines() if re.search(r"\bVULNERABLE|NOT ok", line)
        ]
        bad = [line for line in bad if "not vulnerable" not in line]
        offered = re.findall(r"^ (TLS 1\.\d|SSLv\d|TLS 1) +offered", seen, re.MULTILINE)
        old = {"TLS 1", "TLS 1.1", "SSLv2", "SSLv3"} & set(offered)
        is_fine = bool(offered) and not bad and not old
        return (
            is_fine,
            f"offers {', '.join(offered) or 'nothing'}; holes: {'; '.join(bad) or 'none'}",
        )

    def slowhttptest(self) -> Verdict:
        """Slow headers, bodies and reading: the service stays available."""
        texts = []
        for mode in ("-H", "-B", "-X"):
            seen = _run(
                "slowhttptest -c 200 {mode} -i 2 -r 100 -u http://127.0.0.1:{port}/healthz"
                " -p 3 -l 25",
                mode=mode,
                port=self._engine.api_port,
            )
            plain = re.sub(r"\x1b\[[0-9;]*m", "", seen)
            available = re.findall(r"service available:\s*(\w+)", plain)
            [second] = re.findall(r"Test ended on (\d+)", plain)
            state = "available" if set(available) == {"YES"} else "NOT available"
            texts.append(f"{mode} {state} throughout, ended after {second} s")
        return not any("NOT" in text for text in texts), "; ".join(texts)

    def swaks(self) -> Verdict:
        """A foreign client: STARTTLS, AUTH, pipelining, delivery."""
        seen = _run(
            "swaks --server 127.0.0.1:{port} --tls --auth PLAIN --auth-user x --auth-password {key}"
            " --from a@sender.test --to swaks@dest.test --pipeline --ehlo app.sender.test",
            port=self._engine.smtp_port,
            key=self._engine.key,
        )
        return " 250 2.0.0" in seen and "235 " in seen, seen.strip().splitlines()[-3].strip()

    def schemathesis(self) -> Verdict:
        """Everything that the OpenAPI document allows and forbids."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.fuzz_api"],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        text = (done.stdout + done.stderr).strip().splitlines()
        return done.returncode == 0, text[-1] if text else "said nothing"


NAMES: Mapping[str, str] = {
    "nmap": "nmap",
    "testssl": "testssl",
    "slowhttptest": "slowhttptest",
    "swaks": "swaks",
    "schemathesis": "",
}
"""Probe -> program; "" for what comes with the project."""


def _run(command: str, **values: object) -> str:
    words = [word.format(**values) for word in command.split(" ") if word]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=400, stdin=subprocess.DEVNULL
    )
    return done.stdout + done.stderr


async def probe(directory: Path, wanted: list[str]) -> bool:
    """Run the probes that are wanted, print their verdicts; True when all are fine."""
    leaf = trustme.CA().issue_cert("mta.sender.test", "localhost", "127.0.0.1")
    leaf.private_key_pem.write_to_path(str(directory / "tls.key"))
    (directory / "tls.key").chmod(0o600)
    (directory / "tls.crt").write_bytes(b"".join(one.bytes() for one in leaf.cert_chain_pems))
    reports_port, all_fine = free_port(), True
    async with Recorder(Ledger(), Random(1)) as receiver:
        engine = Mailwright(
            directory,
            receiver.port,
            extra=EXTRA.format(directory=directory, reports_port=reports_port),
            submission="trusted_networks = []",
        )
        try:
            await engine.start()
            probes = Probes(engine, reports_port)
            for name in wanted:
                all_fine &= await _judge(name, getattr(probes, name))
            await engine.stop()
        finally:
            await engine.abandon()
    return all_fine


async def _judge(name: str, act: Callable[[], Verdict]) -> bool:
    program = NAMES[name]
    if program and shutil.which(program) is None:
        is_fine, text = False, f"{program} is not installed"
    else:
        is_fine, text = await asyncio.to_thread(act)
    print(f"{'fine' if is_fine else 'BAD ':5} {name:13} {text}", flush=True)
    return is_fine


def main() -> int:
    """Run; 1 when a verdict is bad."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default=",".join(NAMES), help="probes, with commas between")
    wanted = parser.parse_args().only.split(",")
    with tempfile.TemporaryDirectory(prefix="probe-") as directory:
        return 0 if asyncio.run(probe(Path(directory), wanted)) else 1


if __name__ == "__main__":
    sys.exit(main())
