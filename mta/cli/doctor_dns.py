"""What `mta doctor` sees in the DNS: our name, the way back from our addresses, all domains."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from ipaddress import ip_address

from config.settings import Settings
from mta.cli.doctor_finding import Finding, bad, good, warning
from mta.cli.store import has_database
from mta.core import domain_check
from mta.core.domain_check import Status
from mta.core.domain_records import wanted_records
from mta.core.domain_report import last_findings
from mta.domain_verification import take_look
from mta.resolver import Failure, Found, Resolver, ResolverError
from storage import domains
from storage.database import Database
from storage.domains import DomainRecord


async def examine_dns(settings: Settings) -> list[Finding]:
    """Return all findings, in the order to show them."""
    dns = settings.dns
    try:
        resolver = Resolver(
            [(server.host, server.port) for server in dns.nameservers],
            timeout=dns.timeout,
            max_queries=dns.max_queries,
            clock=time.monotonic,
        )
    except ResolverError as error:
        return [bad("DNS", str(error))]
    name = settings.delivery.ehlo_name or settings.server.hostname
    findings, addresses = await _own_name(resolver, name)
    for address in settings.domains.egress_addresses or addresses:
        findings.append(await _reverse(resolver, address, name))
    for domain in _domains(settings):
        findings += await _domain(settings, domain, resolver)
    return findings


async def _own_name(resolver: Resolver, name: str) -> tuple[list[Finding], tuple[str, ...]]:
    match await resolver.addresses(name):
        case Found(addresses):
            return [good("DNS", f"{name} has {', '.join(addresses)}")], addresses
        case Failure(error):
            return [bad("DNS", f"{name}: no answer: {_short(error)}; mail to MX hosts waits")], ()
        case _:
            return [bad("DNS", f"{name} has no address; servers refuse who greets so")], ()


async def _reverse(resolver: Resolver, address: str, name: str) -> Finding:
    """Check that an address leads to the name that we greet with, and the name to the address."""
    pointer = ip_address(address).reverse_pointer
    answer = await resolver.records(pointer, "PTR")
    if isinstance(answer, Failure):
        return warning("reverse DNS", f"{address}: no answer: {_short(answer.error)}")
    names = answer.records if isinstance(answer, Found) else ()
    if name.lower() in names:
        return good("reverse DNS", f"{address} leads to {name}")
    seen = ", ".join(names) or "nothing"
    return bad("reverse DNS", f"{address} leads to {seen}; large providers want {name}")


def _domains(settings: Settings) -> list[DomainRecord]:
    data_dir = settings.server.data_dir
    if not has_database(data_dir):
        return []
    with closing(Database.open(data_dir)) as database:
        return database.read_now(domains.list_domains)


async def _domain(settings: Settings, domain: DomainRecord, resolver: Resolver) -> list[Finding]:
    look = await take_look(domain, settings.instance, resolver)
    wanted = wanted_records(domain.facts, settings.instance)
    found = list(_records(domain.name, last_findings(wanted, look.report)))
    return found or [good("domain", f"{domain.name}: all records are as they should be")]


def _records(name: str, findings: Sequence[domain_check.Finding]) -> Iterator[Finding]:
    """Yield what is not as it should be; what is optional is worth a warning at most."""
    silent = [one for one in findings if one.status is Status.UNREACHABLE]
    if silent:
        yield warning("domain", f"{name}: {len(silent)} records: no answer from the DNS")
    for one in findings:
        if one.status in {Status.MISSING, Status.WRONG} and not one.wanted.is_note:
            text = f"{name}: {one.wanted.type} at {one.wanted.name}: {one.advice}"
            yield bad("domain", text) if one.wanted.is_required else warning("domain", text)


def _short(error: str) -> str:
    """Return the beginning of an error, which goes on with every query that was tried."""
    return error.partition(":")[0]
