"""Postfix under the same harness: an instance of its own with its own directories, on loopback.

Needs root, as Postfix's master does, and Debian's postfix package. Never touches the system's
instance: queue, data and configuration are in the directory that is given.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from random import Random

from tests.faults.harness.targets import _Group, children, free_port, listening

MASTER = Path("/usr/lib/postfix/sbin/master")

MAIN = """
compatibility_level = 3.6
queue_directory = {base}/spool
data_directory = {base}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mta.sender.test
mydomain = sender.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject
biff = no
in_flow_delay = 0
relayhost = [127.0.0.1]:{receiver_port}
initial_destination_concurrency = 20
default_destination_concurrency_limit = 20
smtp_connection_cache_on_demand = yes
smtp_tls_security_level = none
smtpd_client_connection_count_limit = 0
minimal_backoff_time = 2s
maximal_backoff_time = 5s
queue_run_delay = 2s
"""

SERVICES = """
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


class Postfix:
    """One instance."""

    def __init__(self, directory: Path, receiver_port: int) -> None:
        self.smtp_port = free_port()
        self.log = directory / "log"
        self._base = directory / "postfix"
        self._config = self._base / "etc"
        self._group = _Group()
        for part in (self._config, self._base / "spool", self._base / "data"):
            part.mkdir(parents=True)
        for part in (directory, self._base):
            part.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        os.chown(self._base / "data", owner.pw_uid, owner.pw_gid)
        main = MAIN.format(base=self._base, receiver_port=receiver_port)
        (self._config / "main.cf").write_text(main)
        smtpd = f"127.0.0.1:{self.smtp_port} inet n - n - - smtpd\n"
        (self._config / "master.cf").write_text(smtpd + SERVICES.lstrip())

    async def start(self) -> None:
        """Start the master."""
        subprocess.run(
            ["/usr/sbin/postfix", "-c", str(self._config), "check"], capture_output=True, check=True
        )
        self._group.spawn([str(MASTER), "-c", str(self._config), "-d"], self.log)
        await listening(self.smtp_port, self._group, self.log)

    async def kill(self) -> int:
        """Kill master and services; what was in flight nobody can ask: -1."""
        victims = children(self._group.pid)
        await self._group.end(signal.SIGKILL)
        for pid in victims:  # services that have a group of their own
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)
        return -1

    async def kill_one(self, draws: Random) -> str:
        """Kill one service."""
        victim = draws.choice(children(self._group.pid))
        name = Path(f"/proc/{victim}/comm").read_text().strip()
        os.kill(victim, signal.SIGKILL)
        return name

    async def stop(self) -> None:
        """End it."""
        if self._group.is_running:
            await self._group.end(signal.SIGTERM)
        shutil.rmtree(self._base / "spool" / "active", ignore_errors=True)

    async def abandon(self) -> None:
        """End it however."""
        if self._group.is_running:
            await self.kill()
            await asyncio.sleep(0)
