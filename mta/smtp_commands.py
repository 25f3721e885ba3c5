"""The commands of the SMTP server, each replying or raising a Refusal.

Not here: the connection and the errors of commands (smtp_server.py), the octets of a message
(smtp_data.py), parsing (mta/core/esmtp.py). NOOP, RSET and EXPN are those of aiosmtpd.
Follows RFC 5321 4.1, RFC 3207 (STARTTLS), RFC 4954 (AUTH) and RFC 2034 (enhanced status).
"""

# ruff: noqa: N802 - aiosmtpd finds commands by these names

from __future__ import annotations

import asyncio
from base64 import b64encode
from contextlib import aclosing
from functools import partial
from typing import cast

from mta.core.envelope import Envelope, Recipient
from mta.core.esmtp import MailCommand, Refusal, parse_helo, parse_mail, parse_rcpt, reply_lines
from mta.core.reply import Reply
from mta.core.sasl import MAX_RESPONSE, MECHANISMS, Exchange, Login, decode_initial, decode_response
from mta.smtp_data import MessageReceiver
from mta.smtp_server import Registry, SmtpServer
from mta.smtp_session import Service

_OVERRUN = 2
"""How often the largest message is read of one that is refused already, to find its end."""


class SmtpCommands(SmtpServer):
    """One session with its transaction."""

    def __init__(self, service: Service, registry: Registry) -> None:
        super().__init__(service, registry)
        self._mail: MailCommand | None = None
        self._recipients: list[Recipient] = []
        self._excess = 0
        self._auth_failures = 0

    def _set_rset_state(self) -> None:
        """Forget the transaction; RSET of aiosmtpd calls this too."""
        self._mail = None
        self._recipients = []
        self._excess = 0

    async def smtp_HELO(self, arg: str) -> None:
        """Greet (RFC 5321 4.1.1.1)."""
        self._greeted_as(parse_helo(arg), is_extended=False)
        self._reply(Reply(250, "", self.hostname))

    async def smtp_EHLO(self, arg: str) -> None:
        """Greet and list the extensions (RFC 5321 4.1.1.1)."""
        self._greeted_as(parse_helo(arg), is_extended=True)
        offers = [
            self.hostname,
            "PIPELINING",
            f"SIZE {self._limits.message_size}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "DSN",
        ]
        if self._service.tls and not self.client.tls:
            offers.append("STARTTLS")
        if self.client.may_authenticate:
            offers.append(f"AUTH {' '.join(MECHANISMS)}")
        self._reply(Reply(250, "", "\n".join(offers)))

    def _greeted_as(self, helo: str, *, is_extended: bool) -> None:
        self._set_rset_state()
        self.client.helo = helo
        self.client.is_extended = is_extended

    async def smtp_STARTTLS(self, arg: str) -> None:
        """Secure the connection and start again from nothing (RFC 3207)."""
        if arg:
            raise Refusal(501, "5.5.4", "STARTTLS takes no argument")
        if self.client.tls:
            raise Refusal(503, "5.5.1", "TLS is active")
        if self._service.tls is None:
            raise Refusal(502, "5.5.1", "STARTTLS is not offered")
        go_ahead = reply_lines(Reply(220, "2.0.0", "Ready to start TLS"))
        await self._stream.secure(self._service.tls.context, go_ahead)
        self._set_rset_state()
        self.client = self._service.new_session(self.client.address, self._stream.tls)

    async def smtp_AUTH(self, arg: str) -> None:
        """Find out who the client is (RFC 4954)."""
        self._refuse_untimely_auth()
        name, _, initial = arg.partition(" ")
        mechanism = MECHANISMS.get(name.upper())
        if mechanism is None:
            raise Refusal(504, "5.5.4", "Unknown authentication mechanism")
        login = await self._exchange(mechanism(decode_initial(initial) if initial else None))
        handler = self._service.handler
        identity = await handler.authenticate(self.client, login.user, login.password)
        if identity is None:
            self._auth_failures += 1
            if self._auth_failures >= self._limits.auth_failures:
                raise Refusal(421, "4.7.0", "Too many failed authentications")
            await asyncio.sleep(self._limits.auth_delay.total_seconds())
            raise Refusal(535, "5.7.8", "Authentication credentials invalid")
        self.client.identity = identity
        self._reply(Reply(235, "2.7.0", "Authentication successful"))

    def _refuse_untimely_auth(self) -> None:
        if not self._service.offers_auth:
            raise Refusal(502, "5.5.1", "AUTH is not offered")
        if not self.client.may_authenticate:
            raise Refusal(538, "5.7.11", "AUTH needs TLS here: use STARTTLS first")
        if not self.client.is_extended:
            raise Refusal(503, "5.5.1", "Send EHLO first")
        if self._mail:
            raise Refusal(503, "5.5.1", "AUTH must come before MAIL")
        if self.client.identity:
            raise Refusal(503, "5.5.1", "Already authenticated")

    async def _exchange(self, exchange: Exchange) -> Login:
        try:
            challenge = next(exchange)
            while True:
                self._reply(Reply(334, "", b64encode(challenge).decode()))
                response = await self._line(MAX_RESPONSE)
                challenge = exchange.send(decode_response(response.rstrip(b"\r\n")))
        except StopIteration as done:
            return cast("Login", done.value)

    async def smtp_MAIL(self, arg: str) -> None:
        """Begin a transaction (RFC 5321 4.1.1.2)."""
        if not self.client.helo:
            raise Refusal(503, "5.5.1", "Send EHLO or HELO first")
        if self._mail:
            raise Refusal(503, "5.5.1", "A transaction is open: one MAIL for each message")
        mail = parse_mail(
            arg, is_extended=self.client.is_extended, max_size=self._limits.message_size
        )
        _allow(await self._service.handler.may_send(self.client))
        self._mail = mail
        self._reply(Reply(250, "2.1.0", "Ok"))

    async def smtp_RCPT(self, arg: str) -> None:
        """Add a recipient (RFC 5321 4.1.1.3)."""
        if self._mail is None:
            raise Refusal(503, "5.5.1", "Send MAIL first")
        if len(self._recipients) >= self._limits.recipients:
            self._excess += 1
            self._errors += self._excess > self._limits.recipients
            raise Refusal(452, "4.5.3", "Too many recipients: send to the rest separately")
        recipient = parse_rcpt(
            arg,
            is_extended=self.client.is_extended,
            has_smtputf8=self._mail.has_smtputf8,
            home=self._service.home,
        )
        _allow(await self._service.handler.recipient(self.client, recipient.address))
        self._recipients.append(recipient)
        self._reply(Reply(250, "2.1.5", "Ok"))

    async def smtp_DATA(self, arg: str) -> None:
        """Receive the message; the transaction ends with it (RFC 5321 4.1.1.4)."""
        if arg:
            raise Refusal(501, "5.5.4", "DATA takes no argument")
        if self._mail is None:
            raise Refusal(503, "5.5.1", "Send MAIL first")
        if not self._recipients:
            raise Refusal(503, "5.5.1", "No recipients")
        mail, recipients = self._mail, tuple(self._recipients)
        self._set_rset_state()
        envelope = Envelope(mail.mail_from, recipients, mail.ret, mail.envid)
        receiver = MessageReceiver(
            partial(self._service.handler.begin, self.client, envelope),
            spool=self._service.spool,
            max_size=self._limits.message_size,
        )
        place = await self._place()
        try:
            self._reply(Reply(354, "", "End data with <CR><LF>.<CR><LF>"))
            async with aclosing(receiver):
                await self._receive(receiver)
                reply = await receiver.finish()
        finally:
            self._service.intake.leave(place)
        _allow(reply)
        self._errors = self._junk = 0
        self._reply(reply)

    async def _place(self) -> int:
        """Wait until the message may come in; what was replied before goes out meanwhile."""
        intake = self._service.intake
        if not intake.has_room():
            await self._stream.flush()
        return await intake.enter()

    async def _receive(self, receiver: MessageReceiver) -> None:
        """Read up to the final dot; a refused message is read to its end before it is answered.

        Patience is spent by waiting and earned by octets, so that a slow line is served and a
        dripping one is not (Postfix's smtpd_min_data_rate).
        """
        refusal: Refusal | None = None
        patience = self._patience
        while not receiver.is_complete:
            began = self.loop.time()
            chunk = await self._stream.chunk(patience)
            earned = len(chunk) / self._limits.data_rate
            patience = min(self._patience, patience - (self.loop.time() - began) + earned)
            content = receiver.decode(chunk)
            refusal = refusal or await self._outcome(receiver.take(content))
            if refusal and receiver.received > _OVERRUN * self._limits.message_size:
                refusal.ends_session = True
                break
        self._stream.unread(receiver.rest)
        if refusal:
            raise refusal

    async def smtp_VRFY(self, arg: str) -> None:
        """Tell nothing about addresses (RFC 5321 7.3)."""
        self._reply(Reply(252, "2.5.0", "Cannot verify; send the mail and see"))

    async def smtp_HELP(self, arg: str) -> None:
        """Point to the standard."""
        self._reply(Reply(214, "2.0.0", "See RFC 5321"))

    async def smtp_QUIT(self, arg: str) -> None:
        """Say goodbye."""
        self._reply(Reply(221, "2.0.0", "Bye"))
        self._is_ending = True


def _allow(reply: Reply | None) -> None:
    """Raise a handler's reply unless it is none or a positive one."""
    if reply and not reply.is_positive:
        raise Refusal(reply.code, reply.enhanced, reply.text)
