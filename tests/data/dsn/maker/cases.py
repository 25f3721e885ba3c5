"""What is sent: one message per case, to one or more recipients whose fate is known beforehand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from maker.fates import ACCEPTED, FAULTS, Fate, Stage

RETURNS = "returns.test"
ORIGIN = "origin.test"


@dataclass(frozen=True, slots=True)
class Target:
    """One recipient; notify and orcpt are parameters of RCPT TO, "" where not given."""

    local: str
    domain: str
    fate: Fate
    notify: str = ""
    orcpt: str = ""

    @property
    def address(self) -> str:
        """Return the address as it stands on the wire."""
        return f"{self.local}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Case:
    """One message.

    Attributes:
        number: unique; names the domains and the return path.
        kind: the report wanted: "bounce", "delay" or "success".
        ret, envid: parameters of MAIL FROM, "" where not given.
        is_eight_bit: the body is UTF-8 sent as 8BITMIME.
    """

    number: int
    kind: str
    targets: tuple[Target, ...]
    ret: str = ""
    envid: str = ""
    is_eight_bit: bool = False
    return_path: str = ""

    @property
    def needs_smtputf8(self) -> bool:
        """Return whether an address has more than ASCII."""
        return not all(target.address.isascii() for target in self.targets)

    @property
    def uses_dsn(self) -> bool:
        """Return whether a parameter of RFC 3461 is used."""
        return bool(self.ret or self.envid or any(t.notify or t.orcpt for t in self.targets))

    @property
    def message_id(self) -> str:
        """Return the Message-ID of the message sent, with angle brackets."""
        return f"<{token(self.number, 20)}@{ORIGIN}>"


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a mail server can be made to do, so which cases make sense with it.

    Attributes:
        shift: 0 or 1: which half of the replies it gets.
        routes: it looks up MX records itself; else all goes to one smarthost.
        timeouts: its waits can be made short.
        smtp: it takes mail by SMTP, so several recipients with parameters.
    """

    shift: int
    routes: bool = True
    timeouts: bool = True
    dsn: bool = True
    utf8: bool = True
    delays: bool = True
    temporary: bool = True
    many: bool = True


LOCALS = ("user{n}", "reader.{n}", "info{n}", "anna-{n}", "k_{n}", "list+tag{n}", "Mixed.Case{n}")


def token(number: int, length: int) -> str:
    """Return letters and digits that look random and are the same in every run."""
    return hashlib.sha256(f"dsn-{number}".encode()).hexdigest()[:length]


def build(fates: Mapping[str, Fate], can: Abilities) -> list[Case]:
    """Return the cases for a server, numbered from 1."""
    drafts = [
        *_single(fates, can),
        *_faults(can),
        *_mixed(fates),
        *_addresses(fates),
        *_parameters(fates),
        *_delays(fates, can),
        *_successes(fates),
    ]
    numbered = [_numbered(number, draft) for number, draft in enumerate(drafts, 1)]
    return [case for case in numbered if _suits(case, can)]


def _suits(case: Case, can: Abilities) -> bool:
    fates = [target.fate for target in case.targets]
    early = {Stage.GREETING, Stage.EHLO, Stage.MAIL, Stage.NETWORK}
    return (
        (can.routes or not any(fate.stage in early for fate in fates))
        and (can.timeouts or not any(fate.name == "silent" for fate in fates))
        and (can.temporary or not any(_is_passing(fate) for fate in fates))
        and (can.dsn or not case.uses_dsn)
        and (can.utf8 or not case.needs_smtputf8)
        and (can.delays or case.kind != "delay")
        and (can.many or len(case.targets) == 1)
    )


def _is_passing(fate: Fate) -> bool:
    return not fate.is_permanent and fate.stage is not Stage.NOWHERE


def _numbered(number: int, draft: Case) -> Case:
    """Fill in the number where domains have "{n}", and a return path of one of four shapes."""
    targets = tuple(
        replace(
            target,
            local=target.local.replace("{n}", str(100 + number)),
            domain=target.domain.replace("{n}", str(number)),
            orcpt=target.orcpt.replace("{n}", str(number)),
        )
        for target in draft.targets
    )
    first = targets[0]
    verp = f"{first.local}={first.domain}".encode("ascii", "replace").decode().replace("?", "-")
    shapes = (
        f"b{number}-{token(number, 6)}",
        f"bounce+{verp if number % 8 == 1 and chr(34) not in verp else f'm{number}'}",
        f"r.{token(number, 26)}-{token(number + 7, 16)}",
        f"bounces-{number}-{verp}" if len(verp) < 40 and chr(34) not in verp else f"rp{number}",
    )
    return_path = f"{shapes[number % 4]}@{RETURNS}"
    return replace(
        draft,
        number=number,
        targets=targets,
        return_path=return_path,
        envid=draft.envid.replace("{n}", str(number)),
    )


def _draft(kind: str, *targets: Target, **more: object) -> Case:
    return replace(Case(0, kind, targets), **more)  # type: ignore[arg-type]


def _one(index: int, fate: Fate) -> Target:
    return Target(LOCALS[index % len(LOCALS)], "dest{n}.test", fate)


def _single(fates: Mapping[str, Fate], can: Abilities) -> Iterator[Case]:
    for index, fate in enumerate(fates.values()):
        if fate.code and fate is not ACCEPTED and index % 2 == can.shift:
            yield _draft("bounce", _one(index, fate), is_eight_bit=index % 9 == 4)


def _faults(can: Abilities) -> Iterator[Case]:
    for index, fate in enumerate(FAULTS):
        yield _draft("bounce", _one(index, fate))
    for index, fate in enumerate(FAULTS[:3]):
        domain = "Sub.Dest{n}.test" if can.shift else "mail.dest{n}.test"
        yield _draft("bounce", Target(f"k{index}_{{n}}", domain, fate))


def _same(fates: Sequence[Fate]) -> tuple[Target, ...]:
    return tuple(Target(f"user{{n}}.{i}", "dest{n}.test", fate) for i, fate in enumerate(fates, 1))


def _apart(fates: Sequence[Fate]) -> tuple[Target, ...]:
    names = "abcdefgh"
    return tuple(
        Target(f"user{{n}}.{i}", f"{names[i]}.dest{{n}}.test", fate)
        for i, fate in enumerate(fates, 1)
    )


def _mixed(fates: Mapping[str, Fate]) -> Iterator[Case]:
    def pick(*names: str) -> list[Fate]:
        return [fates[name] for name in names]

    yield _draft("bounce", *_same(pick("accepted", "bad_mailbox.plain", "accepted")))
    yield _draft("bounce", *_same(pick("bad_mailbox.bare", "mailbox_full.quota")))
    yield _draft("bounce", *_same(pick("bad_mailbox.german", "inactive_mailbox.disabled")))
    yield _draft("bounce", *_apart(pick("bad_mailbox.webmail", "relay_denied.plain", "accepted")))
    yield _draft("bounce", *_apart(pick("nxdomain", "ip_reputation.listed", "spam_content.plain")))
    yield _draft(
        "bounce",
        *_apart(
            pick(
                "bad_mailbox.wordy",
                "policy.local",
                "nullmx",
                "too_large.size",
                "inactive_mailbox.code_525",
                "auth.dmarc",
            )
        ),
    )
    yield _draft("bounce", *_apart(pick("greylist.plain", "bad_mailbox.french", "refused")))
    yield _draft("bounce", *_same(pick("mailbox_full.quota_soft", "bad_mailbox.russian")))


def _addresses(fates: Mapping[str, Fate]) -> Iterator[Case]:
    unknown, full = fates["bad_mailbox.plain"], fates["mailbox_full.quota"]
    soft = fates["greylist.first_seen"]
    long = "very.long.local.part-" + "x" * 38 + "{n}"
    yield _draft("bounce", Target(long, "dest{n}.test", unknown))
    yield _draft("bounce", Target('"two words {n}"', "dest{n}.test", unknown))
    yield _draft("bounce", Target('"at@sign{n}"', "dest{n}.test", full))
    yield _draft("bounce", Target("o'hara/x=y{n}", "dest{n}.test", unknown))
    yield _draft("bounce", Target("{n}", "a.rather.long.name.of.a.host.dest{n}.test", unknown))
    yield _draft("bounce", Target("user{n}", "xn--bcher-kva.dest{n}.test", unknown))
    yield _draft("bounce", Target("büro{n}", "dest{n}.test", unknown), is_eight_bit=True)
    yield _draft("bounce", Target("用户{n}", "dest{n}.test", full), is_eight_bit=True)
    yield _draft("bounce", Target("jürgen{n}", "dest{n}.test", soft), is_eight_bit=True)


def _parameters(fates: Mapping[str, Fate]) -> Iterator[Case]:
    unknown, full = fates["bad_mailbox.plain"], fates["mailbox_full.quota"]
    plain = Target("user{n}", "dest{n}.test", unknown)
    old = replace(plain, orcpt="rfc822;old.name{n}@former{n}.test")
    odd = replace(plain, orcpt="rfc822;first+2Blast{n}@former{n}.test", fate=full)
    yield _draft("bounce", plain, ret="HDRS", envid="env-{n}-hdrs")
    yield _draft("bounce", plain, ret="FULL", envid="QQ314159+2Bsum+3D1")
    yield _draft("bounce", old, ret="HDRS")
    yield _draft("bounce", odd, envid="em_0001")
    yield _draft("bounce", replace(plain, notify="FAILURE"), ret="HDRS")
    never, failure = (
        Target("quiet{n}", "dest{n}.test", unknown, "NEVER"),
        Target("loud{n}", "dest{n}.test", full, "FAILURE", "rfc822;loud{n}@dest{n}.test"),
    )
    yield _draft("bounce", never, failure)


def _delays(fates: Mapping[str, Fate], can: Abilities) -> Iterator[Case]:
    passing = [fate for fate in fates.values() if _is_passing(fate) and fate.name != "silent"]
    for index, fate in enumerate(passing):
        if index % 2 != can.shift:
            yield _draft("delay", _one(index, fate))
    two = _same([fates["greylist.plain"], fates["mailbox_full.quota_soft"], fates["accepted"]])
    yield _draft("delay", *two)
    asked = Target("user{n}", "dest{n}.test", fates["greylist.bare"], "DELAY,FAILURE")
    yield _draft("delay", asked, ret="HDRS", envid="late-{n}")


def _successes(fates: Mapping[str, Fate]) -> Iterator[Case]:
    glad = Target("user{n}", "dest{n}.test", ACCEPTED, "SUCCESS,FAILURE")
    yield _draft("success", glad)
    yield _draft("success", replace(glad, notify="SUCCESS"), ret="HDRS", envid="ok-{n}")
    yield _draft("success", replace(glad, orcpt="rfc822;alias{n}@former{n}.test"))
    yield _draft("success", glad, replace(glad, local="second{n}"), ret="FULL")
    yield _draft("success", glad, replace(glad, local="third{n}", notify=""))
    lost = replace(glad, local="gone{n}", fate=fates["bad_mailbox.plain"])
    yield _draft("success", glad, lost, ret="HDRS")
