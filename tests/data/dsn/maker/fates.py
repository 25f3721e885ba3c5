"""What can happen to a recipient, and what that means: scripted replies and faults of the network.

The replies are data (replies.toml); the faults stand here. Nothing here speaks SMTP or DNS.
"""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HARD = frozenset({"bad_mailbox", "bad_domain", "inactive_mailbox"})


class Stage(enum.Enum):
    """Where in its way a message meets its fate."""

    GREETING = "greeting"
    EHLO = "ehlo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    FINAL = "final"
    NETWORK = "network"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to a recipient.

    Attributes:
        name: "class.key" of replies.toml, or the name of a fault.
        code: SMTP reply code; 0 where nothing was replied.
        status: enhanced status of the reply; "" where it has none.
        text: the reply's text, lines parted by a newline, placeholders not yet filled in.
        bounce_class: the class of the failure; also: classes that are right too.
        is_permanent, is_hard: see the README.
    """

    name: str
    code: int
    status: str
    text: str
    bounce_class: str
    stage: Stage
    is_permanent: bool
    is_hard: bool
    also: tuple[str, ...] = ()

    def lines(self, address: str, domain: str) -> list[str]:
        """Return the reply as it stands on the wire, without line ends."""
        text = self.text.replace("{rcpt}", address).replace("{domain}", domain)
        parts = text.split("\n")
        status = f"{self.status} " if self.status else ""
        marks = ["-"] * (len(parts) - 1) + [" "]
        return [f"{self.code}{mark}{status}{part}" for mark, part in zip(marks, parts, strict=True)]


def _fault(name: str, bounce_class: str, *, permanent: bool, also: tuple[str, ...] = ()) -> Fate:
    hard = permanent and bounce_class in HARD
    return Fate(name, 0, "", "", bounce_class, Stage.NETWORK, permanent, hard, also)


ACCEPTED = Fate("accepted", 250, "2.0.0", "Ok: taken", "delivered", Stage.NOWHERE, False, False)

FAULTS = (
    _fault("nxdomain", "bad_domain", permanent=True),
    _fault("nodata", "bad_domain", permanent=True, also=("network",)),
    _fault("nullmx", "bad_domain", permanent=True),
    _fault("nohost", "bad_domain", permanent=True, also=("network",)),
    _fault("servfail", "network", permanent=False, also=("expired",)),
    _fault("refused", "network", permanent=False, also=("expired",)),
    _fault("unreachable", "network", permanent=False, also=("expired",)),
    _fault("silent", "network", permanent=False, also=("expired",)),
    _fault("hangup", "network", permanent=False, also=("expired", "remote_error", "protocol")),
    _fault("lost", "network", permanent=False, also=("expired", "remote_error", "protocol")),
)
"""nodata: no MX and no address; nohost: the MX names a host that does not exist; silent: no
greeting ever; hangup: closed in place of a greeting; lost: closed after the final dot."""


def load(path: Path) -> Mapping[str, Fate]:
    """Return every fate by name, the replies in the order of the file."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    fates = {
        f"{bounce_class}.{key}": _reply(f"{bounce_class}.{key}", bounce_class, entry)
        for bounce_class, entries in table.items()
        for key, entry in entries.items()
    }
    return fates | {fault.name: fault for fault in (*FAULTS, ACCEPTED)}


def _reply(name: str, bounce_class: str, entry: Mapping[str, object]) -> Fate:
    code, also = entry["code"], entry.get("also", [])
    assert isinstance(code, int)
    assert isinstance(also, list)
    permanent = code >= 500
    return Fate(
        name=name,
        code=code,
        status=str(entry["status"]),
        text=str(entry["text"]),
        bounce_class=bounce_class,
        stage=Stage(entry.get("stage", "rcpt")),
        is_permanent=permanent,
        is_hard=permanent and bounce_class in HARD,
        also=tuple(also),
    )
