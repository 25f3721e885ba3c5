"""`mta doctor`: the whole installation examined: what is here, and what the world sees of it.

Where `mta check` says whether serving would start, this looks at what runs: the data, the disk, the
DNS, the certificates and keys. A finding is good, a warning (mail flows, but worse) or bad (mail
stops or will). Changes nothing; asks the DNS and opens no other connection.

Not here: single checks of this machine (doctor_machine.py) and of the DNS (doctor_dns.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import click

from mta.cli.doctor_dns import examine_dns
from mta.cli.doctor_finding import Finding, Grade
from mta.cli.doctor_machine import examine_machine
from mta.cli.environment import Environment
from mta.cli.failure import NOT_SO
from mta.cli.options import json_option
from mta.cli.output import Styled, print_json, print_line
from mta.cli.store import become_owner

_STYLES: Mapping[Grade, str] = {Grade.GOOD: "good", Grade.WARNING: "waiting", Grade.BAD: "bad"}


@click.command()
@json_option
@click.option("--no-dns", is_flag=True, help="Ask no nameserver.")
@click.pass_obj
def command(environment: Environment, is_json: bool, no_dns: bool) -> None:
    """Examine the whole installation: disk, data, clock, ports, TLS, DKIM keys, DNS.

    Exit codes: 0 nothing is bad, warnings or not; 1 something is; 2 the configuration is wrong.
    """
    settings = environment.settings
    become_owner(settings.server.data_dir)
    findings = examine_machine(settings, environment.source, environment.now())
    if not no_dns:
        findings += asyncio.run(examine_dns(settings))
    if is_json:
        print_json(
            {
                "findings": [
                    {"check": one.check, "grade": one.grade.value, "text": one.text}
                    for one in findings
                ]
            }
        )
    else:
        _show(findings)
    if any(one.grade is Grade.BAD for one in findings):
        click.get_current_context().exit(NOT_SO)


def _show(findings: list[Finding]) -> None:
    width = max(len(one.check) for one in findings)
    for one in findings:
        grade = Styled(f"{one.grade.value:7}", _STYLES[one.grade])
        print_line(grade, f"{one.check:{width}}", one.text)
    counts = {grade: sum(one.grade is grade for one in findings) for grade in Grade}
    print_line(", ".join(f"{count} {grade.value}" for grade, count in counts.items()))
