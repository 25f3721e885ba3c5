"""`mta domain`: sender domains, their DKIM keys, and the DNS records that let mail be trusted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import click

from config.settings import Dns
from mta.cli.domain_records import (
    Finding,
    Kind,
    State,
    Wanted,
    examine,
    is_verified,
    wanted_records,
)
from mta.cli.environment import Environment
from mta.cli.failure import NOT_SO, TEMPORARY, USAGE, Failure
from mta.cli.options import json_option
from mta.cli.output import Cell, Styled, clock, print_json, print_line, print_table, stamp
from mta.cli.store import change, opened, read
from mta.core.address import to_ascii_domain
from mta.dkim_keys import KeyFileError, create_keys
from mta.kick import kick_engine
from mta.resolver import Answer, Resolver, ResolverError
from storage import domains
from storage.domains import DomainExists, DomainRecord
from storage.tenants import DEFAULT_TENANT

DEFAULT_SELECTOR = "mta1"

_STYLES = {
    State.OK: "good",
    State.MISSING: "bad",
    State.WRONG: "bad",
    State.UNKNOWN: "waiting",
}


@click.group()
def command() -> None:
    """Add, list, show, verify and delete sender domains."""


@command.command()
@click.argument("name")
@click.option("--selector", default=DEFAULT_SELECTOR, show_default=True, help="Of the DKIM key.")
@click.option(
    "--dkim-key",
    "pem",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Take this private key (PEM) instead of making one.",
)
@json_option
@click.pass_obj
def add(
    environment: Environment, name: str, selector: str, pem: Path | None, is_json: bool
) -> None:
    """Add a domain, make its DKIM keys, and show the DNS records to publish."""
    data_dir, algorithms = (
        environment.settings.server.data_dir,
        environment.settings.dkim.algorithms,
    )
    domain_name = to_ascii_domain(name)
    given = pem.read_bytes() if pem else None
    with opened(environment) as database:
        try:
            keys = create_keys(data_dir, domain_name, selector, algorithms, given)
            domain = database.write_now(
                lambda connection: domains.add_domain(
                    connection,
                    tenant_id=DEFAULT_TENANT,
                    domain_id=environment.new_id("dom"),
                    name=domain_name,
                    keys=keys,
                    now=environment.now(),
                )
            )
        except KeyFileError as error:
            raise Failure(str(error), USAGE) from None
        except DomainExists as error:
            raise Failure(f"{error}; see `mta domain show {domain_name}`") from None
    kick_engine(data_dir)
    _show(environment, domain, is_json=is_json)


@command.command("list")
@json_option
@click.pass_obj
def list_(environment: Environment, is_json: bool) -> None:
    """List the domains."""
    found = read(environment, domains.list_domains)
    if is_json:
        print_json([_as_json(domain) for domain in found])
        return
    print_table(
        ("DOMAIN", "STATE", "SELECTORS", "LOOKED UP"),
        [
            (
                domain.name,
                _state(domain),
                ", ".join(key.selector for key in domain.keys) or "-",
                clock(domain.checked_at),
            )
            for domain in found
        ],
    )


@command.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(environment: Environment, name: str, is_json: bool) -> None:
    """Show a domain and the DNS records to publish."""
    _show(environment, _find(environment, name), is_json=is_json)


@command.command()
@click.argument("name")
@json_option
@click.pass_obj
def verify(environment: Environment, name: str, is_json: bool) -> None:
    """Look the DNS records up; verified is who publishes every DKIM key.

    Exit codes: 0 verified; 1 not verified; 75 the DNS does not answer, nothing is changed.
    """
    domain = _find(environment, name)
    wanted = wanted_records(domain, environment.settings.server.hostname)
    answers = asyncio.run(look_up(wanted, environment.settings.dns))
    findings = [examine(record, answer) for record, answer in zip(wanted, answers, strict=True)]
    verified = is_verified(findings)
    if verified is not None:
        change(
            environment,
            lambda connection: domains.mark_checked(
                connection, domain.name, verified=verified, now=environment.now()
            ),
        )
    if is_json:
        print_json({"domain": domain.name, "verified": verified, "records": _results(findings)})
    else:
        _show_findings(domain, findings, verified=verified)
    if not verified:
        click.get_current_context().exit(TEMPORARY if verified is None else NOT_SO)


@command.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(environment: Environment, name: str, yes: bool) -> None:
    """Delete a domain and its DKIM keys, the private halves too."""
    domain = _find(environment, name)
    if not yes:
        click.confirm(f"Delete {domain.name} and {len(domain.keys)} private keys?", abort=True)
    change(environment, lambda connection: domains.delete_domain(connection, None, domain.id))
    for key in domain.keys:
        (environment.settings.server.data_dir / key.key_file).unlink(missing_ok=True)
    print_line(Styled("deleted", "good"), domain.name)


async def look_up(wanted: Sequence[Wanted], dns: Dns) -> Sequence[Answer[str]]:
    """Return what the DNS has at the names of the records, in the same order.

    Raises:
        Failure: there is no DNS server to ask.
    """
    try:
        resolver = Resolver(
            [(server.host, server.port) for server in dns.nameservers],
            timeout=dns.timeout,
            max_queries=dns.max_queries,
            clock=time.monotonic,
        )
    except ResolverError as error:
        raise Failure(str(error), TEMPORARY) from None
    return await asyncio.gather(*(resolver.txt(item.record.name) for item in wanted))


def _find(environment: Environment, name: str) -> DomainRecord:
    wanted = name if name.startswith("dom_") else to_ascii_domain(name)
    found = read(environment, lambda connection: domains.get_domain(connection, None, wanted))
    if found is None:
        raise Failure(f"{wanted}: no such domain; see `mta domain list`, or add it")
    return found


def _show(environment: Environment, domain: DomainRecord, *, is_json: bool) -> None:
    wanted = wanted_records(domain, environment.settings.server.hostname)
    if is_json:
        print_json(_as_json(domain) | {"records": [_wanted_json(item) for item in wanted]})
        return
    print_line(Styled(domain.name, "title"), _state(domain))
    for item in wanted:
        print_line()
        required = "required" if item.kind is Kind.DKIM else "recommended"
        _print_record(item, Styled(required, "quiet"))
    print_line()
    print_line("Publish these records, then:", Styled(f"mta domain verify {domain.name}", "title"))


def _print_record(item: Wanted, note: Cell) -> None:
    """Print a record so that its value can be copied: on one line, however long."""
    print_line(Styled(item.kind.value, "title"), note)
    print_line(" ", item.record.type, item.record.name)
    print_line(" ", item.record.value)


def _show_findings(
    domain: DomainRecord, findings: Sequence[Finding], *, verified: bool | None
) -> None:
    for finding in findings:
        kind, name = finding.wanted.kind, finding.wanted.record.name
        is_minor = kind is not Kind.DKIM and finding.state is not State.OK
        style = "waiting" if is_minor else _STYLES[finding.state]
        print_line(Styled(finding.state.value, style), Styled(kind.value, "title"), name)
        if finding.state is State.OK:
            continue
        for value in finding.found:
            print_line("  found ", value)
        if finding.state is not State.UNKNOWN:
            print_line("  wanted", finding.wanted.record.value)
        print_line("  to do ", finding.advice)
    if not domain.keys:
        print_line(Styled("no DKIM keys", "bad"), "nothing can prove that the domain is yours")
    words = {
        True: Styled("verified", "good"),
        False: Styled("not verified", "bad"),
        None: Styled("no answer: nothing is changed, try again later", "waiting"),
    }
    print_line(Styled(domain.name, "title"), words[verified])


def _state(domain: DomainRecord) -> Cell:
    if domain.verified_at:
        return Styled("verified", "good")
    return Styled("not verified", "bad" if domain.checked_at else "waiting")


def _as_json(domain: DomainRecord) -> dict[str, object]:
    return {
        "id": domain.id,
        "name": domain.name,
        "created_at": stamp(domain.created_at),
        "verified_at": stamp(domain.verified_at),
        "checked_at": stamp(domain.checked_at),
        "keys": [
            {"selector": key.selector, "algorithm": key.algorithm, "public_key": key.public_key}
            for key in domain.keys
        ],
    }


def _wanted_json(wanted: Wanted) -> dict[str, object]:
    return {
        "kind": wanted.kind.value,
        "required": wanted.kind is Kind.DKIM,
        "type": wanted.record.type,
        "name": wanted.record.name,
        "value": wanted.record.value,
    }


def _results(findings: Sequence[Finding]) -> list[dict[str, object]]:
    return [
        _wanted_json(finding.wanted)
        | {"state": finding.state.value, "found": finding.found, "advice": finding.advice}
        for finding in findings
    ]
