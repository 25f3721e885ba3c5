"""Opening a session: connect to the first address that answers, greet, encrypt, log in.

Mail is then carried by smtp_transaction.py. Names are resolved, and addresses checked, in
routing.py: this module connects to those addresses and looks nothing up.
Follows RFC 5321 3.1, 3.2 and 4.2.1, RFC 3207 (STARTTLS), RFC 8314 3.3 (TLS from the first byte),
RFC 4954 (AUTH) and RFC 7435 (opportunistic security).
"""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import assert_never

from mta.core.extensions import Extensions
from mta.core.frozen import frozen
from mta.core.outcome import Command, Peer, Refused, Stage, Unreachable
from mta.core.reply import Reply
from mta.core.route import Credentials, Hop, Route, TlsMode
from mta.routing import HostMemory
from mta.smtp_transaction import Session, Stale, Timeouts
from mta.smtp_wire import NoNetworkError, SmtpWire, TlsError, WireError, dial
from mta.tls_policy import TlsPolicy

__all__ = ["Connector", "Session", "Stale", "Timeouts"]

_MAX_ERROR = 1000
_log = logging.getLogger(__name__)


@frozen
class NotOpened:
    """No hop gave a session: the outcome that leaves most hope, and the server it is from.

    With errors from several addresses the peer is the first of them.
    """

    outcome: Refused | Unreachable
    peer: Peer


class Connector:
    """Opens sessions."""

    def __init__(
        self, *, ehlo_name: str, timeouts: Timeouts, tls: TlsPolicy, memory: HostMemory
    ) -> None:
        """Keep the collaborators.

        Args:
            ehlo_name: what this server calls itself: a host name or an address literal, ASCII.
            timeouts: for all phases, those of the transactions among them.
            tls: contexts, and who fails at TLS.
            memory: is told which addresses do not answer.
        """
        self._ehlo_name = ehlo_name.encode("ascii")
        self._timeouts = timeouts
        self._command = timeouts.command.total_seconds()
        self._tls = tls
        self._memory = memory

    async def connect(self, route: Route) -> Session | NotOpened:
        """Return a session with the first hop that gives one.

        When none does, tell what leaves most hope: a refusal that another hour may lift (4yz, or
        a greeting of any code), then the errors of the addresses that failed, in one line, and only
        when every server refused EHLO for good, such a refusal.
        """
        failures: list[NotOpened] = []
        for hop in route.hops:
            try:
                return await self._open(hop, route)
            except _HopError as error:
                failures.append(NotOpened(error.outcome, Peer(hop.host, hop.address)))
                if isinstance(error.outcome, Unreachable):
                    self._memory.mark_broken(hop.address)
        best = min(failures, key=_hopelessness)
        if isinstance(best.outcome, Refused):
            return best
        outcomes = [failure.outcome for failure in failures]
        errors = [outcome.error for outcome in outcomes if isinstance(outcome, Unreachable)]
        outcome = Unreachable(best.outcome.stage, "; ".join(errors)[:_MAX_ERROR])
        return NotOpened(outcome, best.peer)

    async def _open(self, hop: Hop, route: Route) -> Session:
        """Open a session with one hop, at the second try in clear where TLS fails and may."""
        is_optional = route.tls is TlsMode.OPPORTUNISTIC
        may_secure = not (is_optional and self._tls.is_broken(hop.address))
        try:
            return await self._attempt(hop, route, may_secure=may_secure)
        except TlsError as error:
            if not is_optional:
                raise _HopError(Unreachable(Stage.TLS, _at(hop, error))) from None
            _log.warning("TLS failed, going on in clear: %s", _at(hop, error))
        session = await self._attempt(hop, route, may_secure=False)
        self._tls.remember_broken(hop.address)  # only now is it known to be TLS, not the network
        return session

    async def _attempt(self, hop: Hop, route: Route, *, may_secure: bool) -> Session:
        with _unreachable(Stage.CONNECT, hop):
            wire = await self._dial(hop, route.tls)
        try:
            with _unreachable(Stage.GREETING, hop):
                await self._greeting(wire)
                extensions = await self._hello(wire)
                if may_secure and _wants_starttls(route.tls, extensions):
                    await self._secure(wire, hop, route.tls, extensions)
                    extensions = await self._hello(wire)
            if route.credentials is not None:
                with _unreachable(Stage.SESSION, hop):
                    await self._log_in(wire, hop, extensions, route.credentials)
        except BaseException:
            wire.abort()
            raise
        return Session(wire, Peer(hop.host, hop.address, wire.tls), extensions, self._timeouts)

    async def _dial(self, hop: Hop, mode: TlsMode) -> SmtpWire:
        context = self._tls.context(mode) if mode is TlsMode.IMPLICIT else None
        within = self._timeouts.connect.total_seconds()
        try:
            return await dial(hop.address, hop.port, context=context, host=hop.host, within=within)
        except NoNetworkError:
            self._memory.mark_family_broken(hop.address)
            raise

    async def _greeting(self, wire: SmtpWire) -> None:
        reply = await wire.reply(self._timeouts.greeting.total_seconds())
        _require(reply, Command.CONNECT)

    async def _hello(self, wire: SmtpWire) -> Extensions:
        """Say EHLO, and HELO to a server that does not know it (RFC 5321 3.2)."""
        code, text = await wire.ask(b"EHLO " + self._ehlo_name, self._command)
        if not 500 <= code <= 599:
            _require(Reply.of(code, text), Command.EHLO)
            return Extensions.of(text)
        _require(Reply.of(*await wire.ask(b"HELO " + self._ehlo_name, self._command)), Command.EHLO)
        return Extensions()

    async def _secure(
        self, wire: SmtpWire, hop: Hop, mode: TlsMode, extensions: Extensions
    ) -> None:
        if not extensions.starttls:
            raise TlsError("STARTTLS is not offered")
        await wire.secure(self._tls.context(mode), hop.host, self._timeouts.tls.total_seconds())

    async def _log_in(
        self, wire: SmtpWire, hop: Hop, extensions: Extensions, credentials: Credentials
    ) -> None:
        """Log in with PLAIN or LOGIN. Refused, it is ours to mend and must not bounce mail."""
        if not wire.tls and not ip_address(hop.address).is_loopback:
            raise WireError("no password is sent in clear")
        user, password = credentials.user.encode(), credentials.password.encode()
        if "PLAIN" in extensions.auth:
            steps = [(b"AUTH PLAIN " + b64encode(b"\0" + user + b"\0" + password), 235)]
        elif "LOGIN" in extensions.auth:
            steps = [(b"AUTH LOGIN", 334), (b64encode(user), 334), (b64encode(password), 235)]
        else:
            raise WireError("neither AUTH PLAIN nor AUTH LOGIN is offered")
        for line, expected in steps:
            reply = Reply.of(*await wire.ask(line, self._command))
            if reply.code != expected:
                raise WireError(f"login refused: {reply}")


class _HopError(Exception):
    """One hop gave no session."""

    def __init__(self, outcome: Refused | Unreachable) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@contextmanager
def _unreachable(stage: Stage, hop: Hop) -> Iterator[None]:
    """Turn what breaks the connection, TLS apart, into the end of this hop."""
    try:
        yield
    except TlsError:
        raise
    except WireError as error:
        raise _HopError(Unreachable(stage, _at(hop, error))) from None


def _require(reply: Reply, command: Command) -> None:
    if reply.code >= 400:
        raise _HopError(Refused(reply, command))
    if not reply.is_positive:
        raise WireError(f"out of step: {reply} in answer to {command.value}")


def _wants_starttls(mode: TlsMode, extensions: Extensions) -> bool:
    match mode:
        case TlsMode.OPPORTUNISTIC:
            return extensions.starttls
        case TlsMode.VERIFIED:
            return True
        case TlsMode.IMPLICIT:
            return False
    assert_never(mode)


def _hopelessness(failure: NotOpened) -> int:
    """Rank failures of a route: what may pass, what nobody answered, what is final."""
    outcome = failure.outcome
    if isinstance(outcome, Unreachable):
        return 1
    return 0 if outcome.reply.is_transient or outcome.command is Command.CONNECT else 2


def _at(hop: Hop, error: WireError) -> str:
    return f"{hop.host}[{hop.address}]:{hop.port}: {error}"
