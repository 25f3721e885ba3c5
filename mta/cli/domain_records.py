"""Records and findings of a sender domain as the command line shows them, for people and as JSON.

Not here: what they are (core/domain_records.py, core/domain_check.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mta.cli.output import Styled, print_line, stamp
from mta.core.domain_check import Finding, Status
from mta.core.domain_records import KeyState, RecordKind, WantedRecord
from mta.core.domain_report import finding_json
from mta.core.domain_standing import DomainStatus
from storage.domains import DomainRecord

STATUS_STYLES: Mapping[DomainStatus, str] = {
    DomainStatus.NOT_STARTED: "waiting",
    DomainStatus.PENDING: "bad",
    DomainStatus.VERIFIED: "good",
    DomainStatus.FAILED: "bad",
}
_STYLES: Mapping[Status, str] = {
    Status.GOOD: "good",
    Status.MISSING: "bad",
    Status.WRONG: "bad",
    Status.UNREACHABLE: "waiting",
    Status.NOT_CHECKED: "quiet",
}
_OPTIONAL = {RecordKind.TRACKING}


def domain_json(domain: DomainRecord, findings: Sequence[Finding]) -> dict[str, object]:
    """Return a domain with its records."""
    return {
        "id": domain.id,
        "name": domain.name,
        "status": domain.standing.status.value,
        "created_at": stamp(domain.created_at),
        "verified_at": stamp(domain.verified_at),
        "checked_at": stamp(domain.checked_at),
        "return_path": domain.return_path or None,
        "tracking_host": domain.tracking_host or None,
        "keys": [
            {
                "selector": key.selector,
                "algorithm": key.algorithm,
                "public_key": key.public_key,
                "state": key.state.value,
            }
            for key in domain.keys
        ],
        "records": [finding_json(one) for one in findings if not one.wanted.is_note],
        "notes": [finding_json(one) for one in findings if one.wanted.is_note],
        "alignment": domain.report.get("alignment"),
    }


def print_wanted(findings: Sequence[Finding]) -> None:
    """Print records so that their values can be copied: on one line, however long."""
    for wanted in (finding.wanted for finding in findings if not finding.wanted.is_note):
        priority = "" if wanted.priority is None else f"{wanted.priority} "
        print_line()
        print_line(Styled(wanted.kind.value, "title"), Styled(_importance(wanted), "quiet"))
        print_line(" ", wanted.type, wanted.name)
        print_line(" ", f"{priority}{wanted.value}")


def _importance(wanted: WantedRecord) -> str:
    match wanted.key_state:
        case KeyState.NEXT:
            return "to be published before it is used"
        case KeyState.RETIRED:
            return "to be kept for some days"
    if wanted.is_shared:
        return "for all domains, by the operator of this server"
    if wanted.is_required:
        return "required"
    return "optional" if wanted.kind in _OPTIONAL else "recommended"


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what the DNS has, and for each record that is not good what to do."""
    for finding in findings:
        wanted = finding.wanted
        is_minor = not wanted.is_required and finding.status is not Status.GOOD
        style = "quiet" if wanted.is_note else "waiting" if is_minor else _STYLES[finding.status]
        shown = Styled(finding.status.value, style), Styled(wanted.kind.value, "title")
        print_line(*shown, wanted.type, wanted.name)
        if finding.status is Status.GOOD:
            continue
        for value in finding.found:
            print_line("  found ", value)
        if finding.error:
            print_line("  error ", finding.error)
        elif not wanted.is_note:
            print_line("  wanted", wanted.value)
        print_line("  to do ", finding.advice)
