"""The sockets that a server listens on, bound before there are any processes or event loops.

All processes that take connections share them, and they outlive a process that ends: clients that
come meanwhile wait for the next one instead of being refused. Not here: what is spoken on them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from config.settings import Endpoint, Settings
from mta.core.frozen import frozen

BACKLOG = 1024
"""Connections that the kernel may hold for us to accept."""


@frozen
class Doors:
    """Listening sockets by what is spoken on them; a context that closes them all.

    Attributes:
        submission, submission_tls: SMTP for apps, as it is and in TLS from the first byte.
        reports: SMTP for what comes back.
        api: HTTP; None switches it off.
    """

    submission: tuple[socket.socket, ...] = ()
    submission_tls: tuple[socket.socket, ...] = ()
    reports: tuple[socket.socket, ...] = ()
    api: socket.socket | None = None

    @property
    def endpoints(self) -> Mapping[str, object]:
        """Where they are, "host:port" each, for tools and tests."""
        return {
            "submission": [_text(one) for one in (*self.submission, *self.submission_tls)],
            "reports": [_text(one) for one in self.reports],
            "api": None if self.api is None else _text(self.api),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def copy(self) -> Doors:
        """Return the same sockets, to be closed apart from these."""
        return Doors(
            tuple(one.dup() for one in self.submission),
            tuple(one.dup() for one in self.submission_tls),
            tuple(one.dup() for one in self.reports),
            None if self.api is None else self.api.dup(),
        )

    def close(self, *, keep_mail: bool = False, keep_front: bool = False) -> None:
        """Close them in this process; a client is refused once every process has.

        Args:
            keep_mail: keep those for apps that submit mail.
            keep_front: keep those for reports and the API.
        """
        mail = () if keep_mail else (*self.submission, *self.submission_tls)
        api = () if self.api is None else (self.api,)
        front = () if keep_front else (*self.reports, *api)
        for one in (*mail, *front):
            one.close()


def open_doors(settings: Settings) -> Doors:
    """Bind all addresses of a configuration; a port of 0 lets the system choose.

    Raises:
        OSError: an address cannot be bound; filename names it.
    """
    submission, reports, api = settings.submission, settings.reports, settings.api.listen
    has_reports = bool(reports.domain)
    return Doors(
        _bind(submission.listen),
        _bind(submission.tls_listen),
        _bind(reports.listen) if has_reports else (),
        None if api is None else _bind([api])[0],
    )


def _bind(endpoints: Iterable[Endpoint]) -> tuple[socket.socket, ...]:
    return tuple(one for endpoint in endpoints for one in listen(endpoint.host, endpoint.port))


def listen(host: str, port: int) -> list[socket.socket]:
    """Return a listening, non-blocking socket for each address of a host.

    Raises:
        OSError: an address cannot be bound; filename names it.
    """
    bound = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in found:
            bound.append(socket.create_server(address[:2], family=family, backlog=BACKLOG))
            bound[-1].setblocking(False)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
    return bound


def _text(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
