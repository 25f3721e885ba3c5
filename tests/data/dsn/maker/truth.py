"""From what came back to files and their truth.

The truth is what the receiving server did (fates.py). The report itself is only asked which
recipients it is about, what it calls the action and which status it writes down; where the two
cannot both be right, the report is left out and named.
"""

from __future__ import annotations

import email
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message

from maker.cases import Case, Target
from maker.fates import Stage
from maker.receiver import Caught

KINDS = {"failed": "bounce", "delayed": "delay"}
MAX_SIZE = 20_000
VEILS = {
    "{}: Envelope expired": "expired",
    "{}: Network error on destination MXs": "network",
    "Could not deliver for the last ": "expired",
    "unknown bounce reason": "unknown",
}
"""What OpenSMTPD and dma write in place of the cause: phrase ("{}": the address) -> class."""


@dataclass(frozen=True, slots=True)
class Report:
    """A file to be and its line in the manifest (without the name)."""

    case: Case
    data: bytes
    entry: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class _View:
    """One recipient, its group of fields in the report, and the whole report."""

    target: Target
    block: Message
    data: bytes

    @property
    def action(self) -> str:
        return str(self.block["Action"] or "failed").split()[0].lower()

    @property
    def veiled(self) -> str:
        """Return the class that is left to see where the server hides the cause, else ""."""
        for phrase, bounce_class in VEILS.items():
            if phrase.format(self.target.address) in self.data.decode(errors="replace"):
                return bounce_class
        return ""

    @property
    def reply(self) -> list[str]:
        fate = self.target.fate
        return fate.lines(self.target.address, self.target.domain) if fate.code else []

    @property
    def shows_reply(self) -> bool:
        """Return whether the words of the reply stand in the report, however folded."""
        if not self.reply:
            return False
        words = re.sub(r"^\d{3}[ -](\d\.\d+\.\d+ )?", "", self.reply[0])
        return _bare(words.encode())[:40] in _bare(self.data)


def _bare(text: bytes) -> bytes:
    """Take away white space, and the octal escapes of Exim."""
    plain = re.sub(rb"\\([0-3][0-7]{2})", lambda code: bytes([int(code[1], 8)]), text)
    return re.sub(rb"\s", b"", plain)


def harvest(cases: Sequence[Case], caught: Sequence[Caught]) -> tuple[list[Report], list[str]]:
    """Return the reports in the order of the cases, and what was left out and why."""
    by_path = {case.return_path.lower(): case for case in cases}
    reports: dict[tuple[int, str, tuple[str, ...]], Report] = {}
    left_out = []
    for item in caught:
        case = by_path.get(item.return_path.lower())
        if case is None:
            left_out.append(f"{item.return_path}: no such return path")
            continue
        report = _report(case, item)
        if isinstance(report, str):
            left_out.append(f"case {case.number} ({case.targets[0].fate.name}): {report}")
            continue
        names = tuple(str(who["address"]) for who in _recipients(report))
        reports.setdefault((case.number, str(report.entry["kind"]), names), report)
    silent = {case.number for case in cases} - {key[0] for key in reports}
    left_out += [
        f"case {case.number} ({case.targets[0].fate.name}, {case.kind}): nothing came back"
        for case in cases
        if case.number in silent
    ]
    return [reports[key] for key in sorted(reports)], left_out


def _recipients(report: Report) -> list[Mapping[str, object]]:
    recipients = report.entry["recipients"]
    assert isinstance(recipients, list)
    return recipients


def _report(case: Case, item: Caught) -> Report | str:
    data = b"Return-Path: <>\r\n" + item.data
    if len(data) > MAX_SIZE:
        return f"{len(data)} bytes are too many"
    blocks = list(status_blocks(data))
    found = [
        (target, block)
        for target in case.targets
        if (block := _block_of(case, target, blocks, data)) is not None
    ]
    if not found:
        return "it names none of the recipients"
    views = [_View(target, block, data) for target, block in found]
    for view in views:
        if wrong := _contradiction(view):
            return wrong
    truths = [_truth(view) for view in views]
    actions = [str(truth["action"]) for truth in truths]
    kind = next((KINDS[action] for action in KINDS if action in actions), "success")
    entry = {
        "kind": kind,
        "has_rfc3464": bool(blocks),
        "envelope_to": item.return_path,
        "original_message_id": case.message_id,
        "envid": case.envid,
        "recipients": truths,
    }
    return Report(case, data, entry)


def status_blocks(data: bytes) -> Iterator[Message]:
    """Yield the per-recipient groups of fields of a report (RFC 3464 2.3, RFC 6533)."""
    kinds = {"message/delivery-status", "message/global-delivery-status"}
    for part in email.message_from_bytes(data).walk():
        if part.get_content_type() in kinds:
            body = re.split(rb"\r?\n\r?\n", part.as_bytes(), maxsplit=1)[1]
            for block in re.split(rb"\r?\n(?:[ \t]*\r?\n)+", body.strip()):
                fields = email.message_from_string(block.decode(errors="replace"))
                if fields["Final-Recipient"] or fields["Original-Recipient"]:
                    yield fields


def _block_of(case: Case, target: Target, blocks: Sequence[Message], data: bytes) -> Message | None:
    """Return the group about a recipient; an empty one in a report that has no such groups."""
    for block in blocks:
        named = _unquoted(f"{block['Final-Recipient']} {block['Original-Recipient']}")
        wanted = {_unquoted(target.address), _unquoted(target.orcpt.partition(";")[2] or "\0")}
        if len(case.targets) == len(blocks) == 1 or any(name in named for name in wanted):
            return block
    if blocks:
        return None
    return (
        Message() if _unquoted(target.address) in _unquoted(data.decode(errors="replace")) else None
    )


def _unquoted(text: str) -> str:
    return re.sub(r'["\\]', "", text).lower()


def _contradiction(view: _View) -> str:
    fate = view.target.fate
    said = f"{fate.name} is reported as {view.action}: {view.block['Diagnostic-Code']}"
    is_accepted = fate.stage is Stage.NOWHERE
    if is_accepted == (view.action in KINDS):
        return said
    is_temporary = view.action == "delayed" or str(view.block["Status"] or "").startswith("4")
    if is_temporary and fate.is_permanent and fate.code and not view.veiled:
        return said
    return ""


def _truth(view: _View) -> dict[str, object]:
    target, fate = view.target, view.target.fate
    status, others = _status(view)
    is_permanent: bool | None = fate.is_permanent and not view.veiled
    is_hard: bool | None = fate.is_hard and is_permanent
    bounce_class, also = fate.bounce_class, set(fate.also)
    if fate.stage is Stage.NETWORK and status.startswith("4") and is_permanent:
        is_permanent, is_hard = False, None
        also.add("network")
    if not is_permanent and view.action == "failed":
        also.add("expired")
    if view.veiled:
        bounce_class, also = view.veiled, also | {fate.bounce_class, "network", "expired"}
        is_permanent = None if view.veiled == "unknown" else False
    return {
        "address": target.address,
        "alt": _spellings(target, view.block),
        "action": view.action,
        "status": status,
        "status_alt": others,
        "code": fate.code or None,
        "reply": "\n".join(view.reply),
        "reply_visible": view.shows_reply,
        "permanent": is_permanent,
        "hard": is_hard,
        "class": bounce_class,
        "class_alt": sorted(also - {bounce_class}),
        "fate": fate.name,
    }


def _spellings(target: Target, block: Message) -> list[str]:
    """Return what else may be called the recipient: ORCPT, and what the report writes itself."""
    written = [str(block[name] or "") for name in ("Final-Recipient", "Original-Recipient")]
    names = {text.partition(";")[2].strip().strip("<>") for text in [target.orcpt, *written]}
    return sorted(names - {"", target.address})


def _status(view: _View) -> tuple[str, list[str]]:
    """Return the status to be read and what else is right.

    The field wins unless it is one of the catch-alls x.0.0; then what the peer replied is better,
    if the report shows it.
    """
    fate = view.target.fate
    match = re.match(r"[245]\.\d{1,3}\.\d{1,3}", str(view.block["Status"] or "").strip())
    field = match.group() if match else ""
    replied = fate.status if view.shows_reply and fate.code != 250 else ""
    best = replied if replied and (not field or field.endswith(".0.0")) else field
    others = {field, fate.status}
    if not fate.is_permanent and best == "5.0.0":
        others |= {"4.0.0", "4.4.7"}  # a temporary failure, given up, under a permanent catch-all
    return best, sorted(others - {best, ""})
