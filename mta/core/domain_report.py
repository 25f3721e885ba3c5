"""A look at a domain as JSON: what storage keeps of the last one, and what API and CLI show.

A record keeps its last finding while it is wanted unchanged; a new key, another host name or
another return path has not been looked at yet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from mta.core.domain_check import Alignment, DomainReport, Finding, Status
from mta.core.domain_records import TTL, DomainFacts, WantedRecord, zone_line
from mta.core.event import JsonValue

Json = dict[str, JsonValue]


def report_json(report: DomainReport) -> Json:
    """Return what is kept of a look."""
    return {
        "records": [finding_json(finding) for finding in report.findings],
        "alignment": _alignment_json(report.alignment),
    }


def finding_json(finding: Finding) -> Json:
    """Return a record with its finding, as the API shows it."""
    wanted = finding.wanted
    shown: Json = {
        "record": wanted.kind.value,
        "type": wanted.type,
        "name": wanted.name,
        "value": wanted.value,
        "ttl": TTL,
        "priority": wanted.priority,
        "required": wanted.is_required,
        "status": finding.status.value,
        "found": list(finding.found),
        "advice": finding.advice,
    }
    if wanted.key_state is not None:
        shown["key"] = wanted.key_state.value
    if wanted.is_shared:
        shown["managed_by"] = "operator"
    if finding.error:
        shown["error"] = finding.error
    return shown


def _alignment_json(alignment: Alignment | None) -> Json | None:
    if alignment is None:
        return None
    modes = {True: "strict", False: "relaxed"}
    return {
        "policy": alignment.policy or None,
        "dkim": {
            "mode": modes[alignment.is_dkim_strict],
            "aligned": alignment.is_dkim_aligned,
        },
        "spf": {"mode": modes[alignment.is_spf_strict], "aligned": alignment.is_spf_aligned},
    }


def last_findings(
    wanted: Sequence[WantedRecord], report: Mapping[str, JsonValue]
) -> tuple[Finding, ...]:
    """Return each record with what the last look, as kept, found of it."""
    kept = {_identity(record): record for record in cast("list[Json]", report.get("records", []))}
    return tuple(_last(record, kept.get(_identity_of(record))) for record in wanted)


def _last(wanted: WantedRecord, kept: Json | None) -> Finding:
    if kept is None:
        return Finding(wanted, Status.NOT_CHECKED)
    return Finding(
        wanted,
        Status(kept["status"]),
        tuple(cast("list[str]", kept["found"])),
        str(kept["advice"]),
        str(kept.get("error", "")),
    )


def _identity(kept: Json) -> tuple[JsonValue, ...]:
    return kept["record"], kept["type"], kept["name"], kept["value"]


def _identity_of(wanted: WantedRecord) -> tuple[JsonValue, ...]:
    return wanted.kind.value, wanted.type, wanted.name, wanted.value


def zone_file(domain: DomainFacts, findings: Sequence[Finding]) -> str:
    """Return the records to publish as part of a zone file (RFC 1035 5.1).

    Where another record is in the place of one of which there may only be one, the line is a
    comment that says what to change.
    """
    lines = [f"; DNS records of {domain.name}, to be added to its zone", ""]
    for finding in findings:
        wanted = finding.wanted
        if wanted.is_note or wanted.is_shared:
            continue
        line = zone_line(wanted)
        if _is_in_the_way(finding):
            lines += [f"; {wanted.name} has such a record already{_advice(finding)}", f"; {line}"]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def _is_in_the_way(finding: Finding) -> bool:
    """Return whether another record has the place: it is to be changed or kept, not joined."""
    wanted = finding.wanted
    value = wanted.value if wanted.priority is None else f"{wanted.priority} {wanted.value}"
    return bool(finding.found) and finding.found != (value,)


def _advice(finding: Finding) -> str:
    return f": {finding.advice}" if finding.advice else ", which serves"
