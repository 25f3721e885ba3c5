"""The HTTP server under the control API: uvicorn in a loop and on sockets that are ours.

Not here: what is served (control_api/app.py), one connection (http_protocol.py). Owner of uvicorn,
with http_protocol.py.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import uvicorn

from mta.http_protocol import ConnectionLimits, GuardedProtocol


class HttpServer(uvicorn.Server):
    """Serves one application until stop()."""

    def __init__(
        self,
        app: Any,
        listener: socket.socket,
        *,
        shutdown_timeout: timedelta,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - frozen
    ) -> None:
        """Take an ASGI application and a bound socket.

        Args:
            app: the application.
            listener: bound, not yet listening.
            shutdown_timeout: what requests under way get when the server stops.
            limits: what each client may take.
        """
        self._listener = listener
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=partial(  # type: ignore[arg-type]
                    GuardedProtocol, limits=limits, turnstile=limits.turnstile()
                ),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                backlog=1024,
                timeout_keep_alive=limits.keep_alive,
                timeout_graceful_shutdown=max(1, int(shutdown_timeout.total_seconds())),
            )
        )

    @property
    def endpoint(self) -> tuple[str, int]:
        """Address and port that it listens on."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    async def run_until_stopped(self) -> None:
        """Serve; returns when stop() was called and the requests under way are answered."""
        await self.serve(sockets=[self._listener])

    def stop(self) -> None:
        """Take no new connections and return from run_until_stopped soon."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: they belong to the daemon."""
        yield


def bind(host: str, port: int) -> socket.socket:
    """Return a TCP socket bound to an address; port 0 lets the system choose.

    Raises:
        OSError: the address cannot be bound; filename names it.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{host}:{port}") from error
