"""The smaller servers: dma, nullmailer, chasquid and Courier."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from maker import submission
from maker.cases import Abilities, Case
from maker.receiver import SMARTHOST
from maker.servers import Server, spawn, wait_for_port
from maker.submission import PORT
from maker.world import HOSTNAME, add_user, own, run, write

WEEK = 7 * 24 * 3600


class Dma(Server):
    """The DragonFly Mail Agent: prose only, no RFC 3464, one report per recipient."""

    name = "dma"
    packages = ("dma",)
    package = "dma"
    can = Abilities(shift=0, timeouts=False, dsn=False, utf8=False, delays=False)

    def prepare(self, kind: str) -> None:
        """Queue first, so that the queue can be aged before its first run."""
        own("/var/spool/dma", "root:mail", 0o2775)
        write("/etc/dma/dma.conf", f"MAILNAME {HOSTNAME}\nDEFER\n")
        write("/var/spool/dma/flush", "")

    def start(self) -> None:
        """Nothing: it is no daemon."""

    def submit(self, cases: Sequence[Case]) -> list[Case]:
        """Queue everything, make it a week old, and run the queue."""
        refused = submission.by_command(cases, "/usr/sbin/dma")
        old = time.time() - WEEK
        for path in Path("/var/spool/dma").iterdir():
            os.utime(path, (old, old))
        spawn("/usr/sbin/dma", "-q")
        return refused


class Nullmailer(Server):
    """nullmailer: a relay-only agent that writes RFC 3464 reports of its smarthost's refusals."""

    name = "nullmailer"
    packages = ("nullmailer",)
    package = "nullmailer"
    can = Abilities(
        shift=1, routes=False, timeouts=False, dsn=False, utf8=False, delays=False, many=False
    )

    def prepare(self, kind: str) -> None:
        """One smarthost; what is refused for now is given up after a second."""
        add_user("mail")
        for folder in ("queue", "tmp", "failed"):
            own(f"/var/spool/nullmailer/{folder}", "mail:mail", 0o700)
        write("/etc/nullmailer/me", f"{HOSTNAME}\n")
        write("/etc/nullmailer/defaulthost", f"{HOSTNAME}\n")
        write("/etc/nullmailer/remotes", f"{SMARTHOST} smtp\n")
        for name, value in (("pausetime", 2), ("maxpause", 2), ("queuelifetime", 1)):
            write(f"/etc/nullmailer/{name}", f"{value}\n")
        run("mkfifo", "/var/spool/nullmailer/trigger")
        run("chown", "mail:mail", "/var/spool/nullmailer/trigger")

    def start(self) -> None:
        """Start the sender once the queue is full."""

    def submit(self, cases: Sequence[Case]) -> list[Case]:
        """Queue everything, then start the sender."""
        spawn("setpriv", "--reuid=mail", "--regid=mail", "--clear-groups", "nullmailer-send")
        return submission.by_command(cases, "/usr/bin/nullmailer-inject", "-a")


class Chasquid(Server):
    """chasquid: it relays for its own aliases, so every recipient stands behind one."""

    name = "chasquid"
    packages = ("chasquid",)
    package = "chasquid"
    can = Abilities(shift=0, timeouts=False, dsn=False, delays=False, many=False)

    def prepare(self, kind: str) -> None:
        """A certificate of its own, as it does not start without one."""
        add_user("chasquid")
        folder = f"/etc/chasquid/certs/{HOSTNAME}"
        own(folder, "root:root", 0o755)
        run(
            *f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={HOSTNAME}".split(),
            *f"-addext subjectAltName=DNS:{HOSTNAME}".split(),
            *f"-keyout {folder}/privkey.pem -out {folder}/fullchain.pem".split(),
        )
        own("/var/lib/chasquid", "root:root", 0o700)
        own("/etc/chasquid/domains/origin.test", "root:root", 0o755)
        write("/etc/chasquid/chasquid.conf", CHASQUID)

    def start(self) -> None:
        """Start it when the aliases are known."""

    def submit(self, cases: Sequence[Case]) -> list[Case]:
        """Write the aliases, start the server and send to them."""
        lines = [f"alias{case.number}: {case.targets[0].address}\n" for case in cases]
        write("/etc/chasquid/domains/origin.test/aliases", "".join(lines))
        first = spawn("/usr/bin/chasquid")
        wait_for_port()
        refused = submission.by_smtp(cases, alias=alias_of)
        time.sleep(3)  # every recipient has been tried once; what is left waits for minutes
        first.terminate()
        first.wait(10)
        old = f"seconds: {int(time.time()) - WEEK}"
        for path in Path("/var/lib/chasquid/queue").iterdir():
            text = path.read_text(encoding="utf-8")
            write(str(path), re.sub(r"seconds:\s*\d+", old, text, count=1), 0o600)
        spawn("/usr/bin/chasquid")
        return refused


def alias_of(case: Case) -> str:
    """Return the address that chasquid expands to the recipient of a case."""
    return f"alias{case.number}@origin.test"


CHASQUID = f"""hostname: "{HOSTNAME}"
smtp_address: "127.0.0.1:{PORT}"
submission_address: "127.0.0.1:2526"
submission_over_tls_address: "127.0.0.1:2527"
monitoring_address: ""
mail_delivery_agent_bin: "/bin/false"
data_dir: "/var/lib/chasquid"
mail_log_path: "<stderr>"
haproxy_incoming: false
"""
