"""Handing a message to the running engine over SMTP, as any app does (RFC 6409). Built on smtplib.

Not here: composing (mta/core/mime.py) and what the engine does with it.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Sequence

from config.settings import Endpoint, Settings
from config.units import system_hostname
from mta.core.address import Address
from mta.core.reply import Reply

TIMEOUT_SECONDS = 60.0
"""For each command; the answer to the final dot comes after the engine's commit."""

_EMAIL_ID = re.compile(r"\bem_[0-9A-Z]{26}\b")


class SubmissionError(Exception):
    """The engine did not take the message; the text says where and why.

    Attributes:
        reply: what the engine answered; None when it could not be spoken to.
    """

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.reply = reply

    @property
    def is_temporary(self) -> bool:
        """True when the same message may be taken later."""
        return self.reply is None or not self.reply.is_permanent


def first_listener(settings: Settings) -> Endpoint:
    """Return where this machine's own mail is handed in.

    Raises:
        SubmissionError: the configuration has no listener in clear.
    """
    if not settings.submission.listen:
        raise SubmissionError("smtp.submission.listen is empty: there is no door to send through")
    return settings.submission.listen[0]


def submit(
    endpoint: Endpoint, sender: Address | None, recipients: Sequence[Address], message: bytes
) -> str:
    """Submit a message and return the email's id, "em_..." ("" when the server names none).

    Args:
        endpoint: a submission listener.
        sender: the return path; None is the null path <>.
        recipients: at least one; when one is refused nobody gets the message.
        message: with CRLF line ends.

    Raises:
        SubmissionError: refused, or nobody listens there.
    """
    try:
        with smtplib.SMTP(
            endpoint.host, endpoint.port, local_hostname=system_hostname(), timeout=TIMEOUT_SECONDS
        ) as client:
            client.ehlo_or_helo_if_needed()
            client.command_encoding = "utf-8"
            parameters = _parameters(client, sender, recipients, message)
            _command(client, f"MAIL FROM:<{sender or ''}>{parameters}")
            for recipient in recipients:
                _command(client, f"RCPT TO:<{recipient}>")
            text = _checked("DATA", *client.data(message)).text
    except smtplib.SMTPDataError as error:
        raise _refused("DATA", _reply(error.smtp_code, error.smtp_error)) from None
    except smtplib.SMTPConnectError as error:
        raise _refused("connect", _reply(error.smtp_code, error.smtp_error)) from None
    except (OSError, smtplib.SMTPException) as error:
        problem = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SubmissionError(f"{endpoint}: {problem}; is `mta serve` running?") from None
    found = _EMAIL_ID.search(text)
    return found.group() if found else ""


def _parameters(
    client: smtplib.SMTP, sender: Address | None, recipients: Sequence[Address], message: bytes
) -> str:
    """Return MAIL parameters with a space before each (RFC 6152, RFC 6531 3.4)."""
    header = message.partition(b"\r\n\r\n")[0]
    everyone = [address for address in (sender, *recipients) if address is not None]
    parameters = ""
    if not message.isascii() and client.has_extn("8bitmime"):
        parameters += " BODY=8BITMIME"
    if not header.isascii() or any(address.needs_smtputf8 for address in everyone):
        parameters += " SMTPUTF8"
    return parameters


def _command(client: smtplib.SMTP, line: str) -> Reply:
    return _checked(line, *client.docmd(line))


def _checked(what: str, code: int, text: bytes) -> Reply:
    reply = _reply(code, text)
    if not reply.is_positive:
        raise _refused(what, reply)
    return reply


def _refused(what: str, reply: Reply) -> SubmissionError:
    return SubmissionError(f"refused at {what}: {reply}", reply)


def _reply(code: int, text: bytes | str) -> Reply:
    return Reply.of(code, text.decode("utf-8", "replace") if isinstance(text, bytes) else text)
