"""`mta domain`: sender domains, their DKIM keys, and the DNS records that let mail be trusted."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click

from mta.cli.domain_records import STATUS_STYLES, domain_json, print_findings, print_wanted
from mta.cli.environment import Environment
from mta.cli.failure import NOT_SO, TEMPORARY, USAGE, Failure
from mta.cli.options import json_option
from mta.cli.output import Cell, Styled, clock, print_json, print_line, print_table
from mta.cli.store import change, opened, read
from mta.core.address import to_ascii_domain
from mta.core.domain_check import Finding
from mta.core.domain_records import (
    KeyState,
    is_selector,
    is_within,
    next_selector,
    wanted_records,
)
from mta.core.domain_report import last_findings, zone_file
from mta.dkim_keys import KeyFileError, create_keys, remove_keys
from mta.domain_verification import check_rules, take_look
from mta.kick import kick_engine
from mta.resolver import Resolver, ResolverError
from storage import dkim_rotation, domain_checks, domains
from storage.database import Connection
from storage.domain_checks import Look
from storage.domains import DomainExists, DomainRecord
from storage.tenants import DEFAULT_TENANT


@click.group()
def command() -> None:
    """Add, list, show, verify, change and delete sender domains."""


@command.command()
@click.argument("name")
@click.option("--selector", default=next_selector(()), show_default=True, help="Of the DKIM key.")
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
        print_json([domain_json(domain, _findings(environment, domain)) for domain in found])
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
@click.pass_obj
def zonefile(environment: Environment, name: str) -> None:
    """Print the DNS records as lines of a zone file."""
    domain = _find(environment, name)
    click.echo(zone_file(domain.facts, _findings(environment, domain)), nl=False)


@command.command()
@click.argument("name")
@json_option
@click.pass_obj
def verify(environment: Environment, name: str, is_json: bool) -> None:
    """Look the DNS records up; verified is who publishes every DKIM key.

    Exit codes: 0 all that is required is there; 1 it is not; 75 the DNS does not answer.
    """
    domain = _find(environment, name)
    look = asyncio.run(_look(environment, domain))
    rules = check_rules(environment.settings)
    concluded = change(
        environment,
        lambda connection: domain_checks.conclude(
            connection, domain.id, look, rules=rules, now=environment.now()
        ),
    )
    if concluded is None:
        raise Failure(f"{domain.name}: no such domain any more")
    remove_keys(environment.settings.server.data_dir, concluded.forgotten)
    findings = _findings(environment, concluded.domain)
    if is_json:
        shown = domain_json(concluded.domain, findings)
        print_json(shown | {"verified": look.is_verified})
    else:
        print_findings(findings)
        _print_verdict(concluded.domain, look.is_verified, is_switched=concluded.is_switched)
    if not look.is_verified:
        code = TEMPORARY if look.is_verified is None else NOT_SO
        click.get_current_context().exit(code)


@command.command()
@click.argument("name")
@click.option("--selector", help="Of the next key; the number after the current one if not given.")
@json_option
@click.pass_obj
def rotate(environment: Environment, name: str, selector: str | None, is_json: bool) -> None:
    """Make the next DKIM keys, to be published; they are used once every DNS server has them."""
    domain, settings = _find(environment, name), environment.settings
    taken = [key.selector for key in domain.keys]
    chosen = selector or next_selector(taken)
    if not is_selector(chosen, domain.name) or chosen in taken:
        raise Failure(f"the selector {chosen[:80]!a} is in use, or no label of the DNS", USAGE)
    if not domain.keys_in(KeyState.NEXT):
        try:
            keys = create_keys(
                settings.server.data_dir, domain.name, chosen, settings.dkim.algorithms, None
            )
        except KeyFileError as error:
            raise Failure(str(error), USAGE) from None
        change(
            environment,
            lambda connection: dkim_rotation.begin(connection, domain.id, keys, environment.now()),
        )
    _show(environment, _find(environment, name), is_json=is_json)


@command.command("set")
@click.argument("name")
@click.option("--return-path", help='Host below the domain for return paths; "" for none.')
@click.option("--tracking-host", help='Host below the domain for tracked links; "" for none.')
@json_option
@click.pass_obj
def set_(
    environment: Environment,
    name: str,
    return_path: str | None,
    tracking_host: str | None,
    is_json: bool,
) -> None:
    """Set the hosts of a domain, and show the DNS records that they need."""
    domain = _find(environment, name)
    path = _host(domain, return_path, domain.return_path)
    tracking = _host(domain, tracking_host, domain.tracking_host)
    if path and path == tracking:
        raise Failure("return path and tracking need two hosts", USAGE)

    def act(connection: Connection) -> None:
        now = environment.now()
        domains.set_hosts(connection, domain.id, return_path=path, tracking_host=tracking, now=now)

    change(environment, act)
    _show(environment, _find(environment, name), is_json=is_json)


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
    remove_keys(environment.settings.server.data_dir, domain.keys)
    print_line(Styled("deleted", "good"), domain.name)


async def _look(environment: Environment, domain: DomainRecord) -> Look:
    """Look a domain's records up.

    Raises:
        Failure: there is no DNS server to ask.
    """
    dns = environment.settings.dns
    try:
        resolver = Resolver(
            [(server.host, server.port) for server in dns.nameservers],
            timeout=dns.timeout,
            max_queries=dns.max_queries,
            clock=time.monotonic,
        )
    except ResolverError as error:
        raise Failure(str(error), TEMPORARY) from None
    return await take_look(domain, environment.settings.instance, resolver)


def _find(environment: Environment, name: str) -> DomainRecord:
    wanted = name if name.startswith("dom_") else to_ascii_domain(name)
    found = read(environment, lambda connection: domains.get_domain(connection, None, wanted))
    if found is None:
        raise Failure(f"{wanted}: no such domain; see `mta domain list`, or add it")
    return found


def _findings(environment: Environment, domain: DomainRecord) -> tuple[Finding, ...]:
    wanted = wanted_records(domain.facts, environment.settings.instance)
    return last_findings(wanted, domain.report)


def _host(domain: DomainRecord, given: str | None, current: str) -> str:
    """Return a host below a domain, given in full or as the label before its name."""
    if not given:
        return current if given is None else ""
    host = to_ascii_domain(given if "." in given else f"{given}.{domain.name}")
    if host == domain.name or not is_within(host, domain.name):
        raise Failure(f"{host} is not a host below {domain.name}", USAGE)
    return host


def _show(environment: Environment, domain: DomainRecord, *, is_json: bool) -> None:
    findings = _findings(environment, domain)
    if is_json:
        print_json(domain_json(domain, findings))
        return
    print_line(Styled(domain.name, "title"), _state(domain))
    print_wanted(findings)
    print_line()
    print_line("Publish these records, then:", Styled(f"mta domain verify {domain.name}", "title"))


def _print_verdict(domain: DomainRecord, is_verified: bool | None, *, is_switched: bool) -> None:
    if not domain.keys:
        print_line(Styled("no DKIM keys", "bad"), "nothing can prove that the domain is yours")
    if is_switched:
        print_line(Styled("switched", "good"), "mail is signed with the new keys from now on")
    if is_verified is False and domain.verified_at:
        print_line(Styled("warning", "bad"), "one more such look, and its mail is refused")
    words = {
        True: Styled("verified", "good"),
        False: Styled("not verified", "bad"),
        None: Styled("no answer: nothing is changed, try again later", "waiting"),
    }
    print_line(Styled(domain.name, "title"), words[is_verified])


def _state(domain: DomainRecord) -> Cell:
    status = domain.standing.status
    words = "verified" if domain.verified_at else f"not verified ({status.value})"
    return Styled(words.replace("_", " "), STATUS_STYLES[status])
