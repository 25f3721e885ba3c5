"""SMTP command lines and reply lines as the receiving side reads and writes them.

Pure parsing: bytes of one line in, values out, or a Refusal that carries the reply to send. Not
here: the state of a session (mta/smtp_commands.py) and AUTH exchanges (sasl.py). Follows RFC 5321
4.1, RFC 1870 (SIZE), RFC 6152 (BODY), RFC 6531 (SMTPUTF8), RFC 3461 (DSN), RFC 4954 5 (AUTH=) and
RFC 2034 (enhanced status in every reply).
"""

from __future__ import annotations

import re

from mta.core.address import Address, AddressError, parse_path
from mta.core.envelope import Recipient
from mta.core.frozen import frozen
from mta.core.reply import Reply

MAX_COMMAND_LINE = 4096
"""Octets of a command line, CRLF included; RFC 5321 4.5.3.1.4 asks for 512 and the extensions'."""

_PATH = re.compile(r'(<(?:"(?:[^"\\]|\\.)*"|[^"<> ])*>)(?: +(.*))?')
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*+)(?:=([^ =]++))?")
_HELO = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_XTEXT = r"(?:[!-*,-<>-~]|\+(?:[2-6][0-9A-F]|7[0-9A-E]))+"
_ENVID = re.compile(_XTEXT)
_SIZE = re.compile(r"[0-9]+")
_AUTH = re.compile(rf"<>|{_XTEXT}")
_ORCPT = re.compile(rf"(?i:utf-8);[!-*,-<>-~\x80-\U0010ffff]+|[A-Za-z0-9][A-Za-z0-9-]*;{_XTEXT}")
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})


class Refusal(Exception):  # noqa: N818 - it is a reply on its way out, not a fault of ours
    """What the client asked is refused with `reply`, and the session ends if ends_session."""

    def __init__(self, code: int, enhanced: str, text: str, *, ends_session: bool = False) -> None:
        super().__init__(text)
        self.reply = Reply(code, enhanced, text)
        self.ends_session = ends_session or code == 421


@frozen
class MailCommand:
    """A MAIL command.

    Attributes:
        mail_from: the return path; None is the null return path <>.
        has_smtputf8: whether SMTPUTF8 was given, which RCPT paths in UTF-8 need.
        ret: "FULL", "HDRS", or "" when not given.
        envid: ENVID in xtext as given, "" when not given.
    """

    mail_from: Address | None
    has_smtputf8: bool = False
    ret: str = ""
    envid: str = ""


def parse_command(line: bytes) -> tuple[str, str]:
    """Return verb in upper case and argument ("" for none) of a line with its line end.

    Raises:
        Refusal: the line does not end in CRLF, is not UTF-8, is empty or has control characters.
    """
    if not line.endswith(b"\r\n"):
        raise Refusal(500, "5.5.2", "A line must end in CR LF")
    try:
        text = line[:-2].decode()
    except UnicodeDecodeError:
        raise Refusal(500, "5.5.2", "A command must be ASCII or UTF-8") from None
    if not text.isprintable():
        raise Refusal(500, "5.5.2", "A command must not contain control characters")
    verb, _, argument = text.partition(" ")
    if not verb:
        raise Refusal(500, "5.5.2", "Command expected")
    return verb.upper(), argument.strip(" ")


def parse_helo(argument: str) -> str:
    """Return the client's name for itself; looser than RFC 5321 4.1.3 because apps send anything.

    Raises:
        Refusal: none given, or no characters of a host name or address literal.
    """
    if not _HELO.fullmatch(argument):
        raise Refusal(501, "5.5.4", "Your host name or address literal expected")
    return argument


def parse_mail(argument: str, *, is_extended: bool, max_size: int) -> MailCommand:
    """Return the MAIL command that the argument describes (RFC 5321 4.1.1.2).

    BODY is checked and forgotten, since only the message itself tells whether it is 8-bit; AUTH= is
    checked and ignored, since we never vouch for another submitter (RFC 4954 5).

    Args:
        argument: what follows "MAIL ".
        is_extended: whether the client said EHLO, without which there are no parameters.
        max_size: bytes that a declared SIZE may have.

    Raises:
        Refusal: bad syntax, a parameter that is unknown, doubled or wrong, or too large a SIZE.
    """
    path, parameters = _split(argument, "FROM", "5.1.7", is_extended=is_extended)
    has_smtputf8 = _flag(parameters, "SMTPUTF8")
    mail_from = _address(path, "5.1.7", has_smtputf8=has_smtputf8)
    if not parameters:
        return MailCommand(mail_from, has_smtputf8)
    _one_of(parameters, "BODY", "7BIT", "8BITMIME")
    _matching(parameters, "AUTH", _AUTH, 500)
    size = _matching(parameters, "SIZE", _SIZE, 20)
    if size and int(size) > max_size:
        raise Refusal(552, "5.3.4", f"A message may have {max_size} bytes here")
    ret = _one_of(parameters, "RET", "FULL", "HDRS")
    envid = _matching(parameters, "ENVID", _ENVID, 100)
    _refuse_rest(parameters)
    return MailCommand(mail_from, has_smtputf8, ret, envid)


def parse_rcpt(
    argument: str, *, is_extended: bool, has_smtputf8: bool, home: str = ""
) -> Recipient:
    """Return the recipient that the argument describes (RFC 5321 4.1.1.3).

    Args:
        argument: what follows "RCPT ".
        is_extended: whether the client said EHLO, without which there are no parameters.
        has_smtputf8: whether this transaction's MAIL gave SMTPUTF8.
        home: the domain that <postmaster> alone is in (RFC 5321 4.5.1); "" refuses it.

    Raises:
        Refusal: bad syntax, or a parameter that is unknown, doubled or wrong.
    """
    path, parameters = _split(argument, "TO", "5.1.3", is_extended=is_extended)
    if home and path.lower() == "<postmaster>":
        path = f"<postmaster@{home}>"
    address = _address(path, "5.1.3", has_smtputf8=has_smtputf8)
    if address is None:
        raise Refusal(501, "5.1.3", "The null path is no recipient")
    if not parameters:
        return Recipient(address)
    notify = _notify(parameters)
    orcpt = _matching(parameters, "ORCPT", _ORCPT, 500)
    _refuse_rest(parameters)
    return Recipient(address, notify, orcpt)


def reply_lines(reply: Reply) -> bytes:
    """Return a reply as it goes on the wire: a line for each line of its text, made ASCII.

    Greetings, answers to EHLO and 3yz replies are built without an enhanced status (RFC 2034 4).
    """
    status = f"{reply.enhanced} " if reply.enhanced else ""
    *lines, last = reply.text.split("\n")
    wire = f"{reply.code} {status}{last}\r\n"
    if lines:
        wire = "".join([f"{reply.code}-{status}{line}\r\n" for line in lines]) + wire
    return wire.encode("ascii", "backslashreplace")


def _split(
    argument: str, keyword: str, status: str, *, is_extended: bool
) -> tuple[str, dict[str, str | None]]:
    """Return the path and the parameters by upper-case keyword; None for one without a value."""
    head, colon, rest = argument.partition(":")
    if not colon or head.upper() != keyword:
        raise Refusal(501, "5.5.4", f"Syntax: {keyword}:<address>")
    match = _PATH.fullmatch(rest.lstrip(" "))
    if match is None:
        raise Refusal(501, status, "An address must stand between < and >")
    path, tail = match.groups()
    parameters: dict[str, str | None] = {}
    for word in tail.split(" ") if tail else ():
        parameter = _PARAMETER.fullmatch(word)
        if parameter is None:
            raise Refusal(501, "5.5.4", "A parameter has the form KEYWORD or KEYWORD=VALUE")
        name = parameter[1].upper()
        if name in parameters:
            raise Refusal(501, "5.5.4", f"{name} is given twice")
        parameters[name] = parameter[2]
    if parameters and not is_extended:
        raise Refusal(555, "5.5.4", "Parameters need EHLO")
    return path, parameters


def _address(path: str, status: str, *, has_smtputf8: bool) -> Address | None:
    if not has_smtputf8 and not path.isascii():
        raise Refusal(553, "5.6.7", "An address in UTF-8 needs the parameter SMTPUTF8 of MAIL")
    try:
        return parse_path(path)
    except AddressError as error:
        raise Refusal(501, status, str(error)) from None


def _flag(parameters: dict[str, str | None], name: str) -> bool:
    """Take a parameter that has no value."""
    if name not in parameters:
        return False
    if parameters.pop(name) is not None:
        raise Refusal(501, "5.5.4", f"{name} takes no value")
    return True


def _one_of(parameters: dict[str, str | None], name: str, *words: str) -> str:
    """Take a parameter whose value is one of some words; "" when it is not given."""
    if name not in parameters:
        return ""
    value = (parameters.pop(name) or "").upper()
    if value not in words:
        raise Refusal(501, "5.5.4", f"{name} must be {' or '.join(words)}")
    return value


def _matching(
    parameters: dict[str, str | None], name: str, pattern: re.Pattern[str], longest: int
) -> str:
    """Take a parameter whose value has a certain form; "" when it is not given."""
    if name not in parameters:
        return ""
    value = parameters.pop(name) or ""
    if len(value) > longest or not pattern.fullmatch(value):
        raise Refusal(501, "5.5.4", f"The value of {name} is not valid")
    return value


def _notify(parameters: dict[str, str | None]) -> str:
    """Take NOTIFY: NEVER alone, or some of SUCCESS, FAILURE and DELAY (RFC 3461 4.1)."""
    if "NOTIFY" not in parameters:
        return ""
    value = (parameters.pop("NOTIFY") or "").upper()
    words = value.split(",")
    if value != "NEVER" and (not _NOTIFY.issuperset(words) or len(set(words)) != len(words)):
        raise Refusal(501, "5.5.4", "NOTIFY must be NEVER or some of SUCCESS, FAILURE, DELAY")
    return value


def _refuse_rest(parameters: dict[str, str | None]) -> None:
    if parameters:
        raise Refusal(555, "5.5.4", f"The parameter {next(iter(parameters))} is not supported")
