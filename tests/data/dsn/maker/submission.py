"""The messages that are sent, and how they are handed to a mail server."""

from __future__ import annotations

import smtplib
import subprocess
import time
from collections.abc import Callable, Sequence

from maker.cases import ORIGIN, Case

PORT = 2525


def message(case: Case) -> bytes:
    """Return the message of a case, CRLF ended and short."""
    words = "Grüße aus dem Büro, und bis bald." if case.is_eight_bit else "Here is the letter."
    to = case.targets[0].address if len(case.targets) == 1 else f"readers@{ORIGIN}"
    lines = [
        f'From: "Weekly letter" <news@{ORIGIN}>',
        f"To: <{to}>",
        f"Subject: Letter number {case.number}",
        f"Date: {time.strftime('%a, %d %b %Y %H:%M:%S')} +0000",
        f"Message-ID: {case.message_id}",
        f"List-Unsubscribe: <https://{ORIGIN}/u/{case.number}>",
        "MIME-Version: 1.0",
        f"Content-Type: text/plain; charset={'utf-8' if case.is_eight_bit else 'us-ascii'}",
        f"Content-Transfer-Encoding: {'8bit' if case.is_eight_bit else '7bit'}",
        "",
        words,
        "",
        "-- ",
        f"The editors of {ORIGIN}",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def by_smtp(cases: Sequence[Case], alias: Callable[[Case], str] | None = None) -> list[Case]:
    """Send the cases over loopback, to their recipients or to an alias.

    Returns those that the server refused to take.
    """
    refused = []
    for case in cases:
        with smtplib.SMTP("127.0.0.1", PORT, local_hostname=f"app.{ORIGIN}", timeout=20) as client:
            client.ehlo()
            if not _transaction(client, case, alias(case) if alias else ""):
                refused.append(case)
    return refused


def _transaction(client: smtplib.SMTP, case: Case, alias: str) -> bool:
    parameters = [f"RET={case.ret}"] if case.ret else []
    parameters += [f"ENVID={case.envid}"] if case.envid else []
    parameters += ["BODY=8BITMIME"] if case.is_eight_bit or case.needs_smtputf8 else []
    parameters += ["SMTPUTF8"] if case.needs_smtputf8 else []
    if _command(client, f"MAIL FROM:<{case.return_path}>", parameters) != 250:
        return False
    for target in case.targets:
        wishes = [f"NOTIFY={target.notify}"] if target.notify else []
        wishes += [f"ORCPT={target.orcpt}"] if target.orcpt else []
        if _command(client, f"RCPT TO:<{alias or target.address}>", wishes) not in {250, 251}:
            return False
    return client.data(message(case))[0] == 250


def _command(client: smtplib.SMTP, command: str, parameters: Sequence[str]) -> int:
    line = " ".join([command, *parameters])
    client.command_encoding = "utf-8"
    return client.docmd(line)[0]


def by_command(cases: Sequence[Case], *program: str) -> list[Case]:
    """Hand each case to a sendmail command that takes -f; returns those that it refused."""
    refused = []
    for case in cases:
        addresses = [target.address for target in case.targets]
        done = subprocess.run(
            [*program, "-f", case.return_path, "--", *addresses],
            input=message(case).replace(b"\r\n", b"\n"),
            capture_output=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            refused.append(case)
    return refused
