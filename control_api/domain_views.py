"""A domain as JSON. Not here: what the routes do (domains.py)."""

from __future__ import annotations

from config.settings import Settings
from control_api.routes import timestamp
from mta.core.domain_check import Finding, Status
from mta.core.domain_records import wanted_records
from mta.core.domain_report import finding_json, last_findings
from mta.core.domain_standing import DomainStatus
from storage.domains import DomainRecord


def findings_of(domain: DomainRecord, settings: Settings) -> tuple[Finding, ...]:
    """Return every record of a domain with what the last look has found."""
    return last_findings(wanted_records(domain.facts, settings.instance), domain.report)


def summary(domain: DomainRecord, settings: Settings) -> dict[str, object]:
    """Return a domain without its records, as lists show it."""
    status = domain.standing.status
    dkim = [one for one in findings_of(domain, settings) if one.wanted.is_required]
    return {
        "object": "domain",
        "id": domain.id,
        "name": domain.name,
        "status": status.value,
        "verified": status is DomainStatus.VERIFIED,
        "dkim_configured": bool(dkim) and all(one.status is Status.GOOD for one in dkim),
        "created_at": timestamp(domain.created_at),
        "verified_at": timestamp(domain.verified_at) if domain.verified_at else None,
        "checked_at": timestamp(domain.checked_at) if domain.checked_at else None,
        "return_path": domain.return_path or None,
        "tracking_host": domain.tracking_host or None,
        "tls": "opportunistic",
        "dkim": [
            {"selector": key.selector, "algorithm": key.algorithm, "state": key.state.value}
            for key in domain.keys
        ],
    }


def in_full(domain: DomainRecord, settings: Settings) -> dict[str, object]:
    """Return a domain with its records, the notes about what is not for us, and alignment."""
    findings = findings_of(domain, settings)
    return summary(domain, settings) | {
        "records": [finding_json(one) for one in findings if not one.wanted.is_note],
        "notes": [_note(one) for one in findings if one.wanted.is_note],
        "alignment": domain.report.get("alignment"),
    }


def _note(finding: Finding) -> dict[str, object]:
    shown = ("record", "type", "name", "status", "found", "advice")
    as_record = finding_json(finding)
    return {name: as_record[name] for name in shown}
