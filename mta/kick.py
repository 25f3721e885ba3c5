"""Kicks: datagrams by which a process of a server is told to look into storage again.

They carry no data but what kind of thing to look for. Whoever changed the queue from another
process (the command line, another part of the server) sends one after its commit; losing one is
harmless only while somebody else kicks, so a socket whose buffer is full counts as told: that
process has kicks to read then.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

CHANGED, ACCEPTED, SETTLED, TOLD, COMING = b"", b"a", b"s", b"t", b"c"
"""What there is to look for: anything, from the command line; new entries; new events; reports to
senders; and, with nothing to look for yet, that transactional mail is being accepted."""
_SUFFIX = ".kick"


def kick_engine(data_dir: Path) -> bool:
    """Wake all processes that serve data_dir; False when there are none."""
    names = [path.name.removesuffix(_SUFFIX) for path in data_dir.glob(f"*{_SUFFIX}")]
    with Kicker(data_dir, names) as kicker:
        return kicker.kick(CHANGED)


def is_served(data_dir: Path, names: Sequence[str]) -> bool:
    """Tell whether processes with all these names listen for kicks."""
    for name in names:
        with Kicker(data_dir, [name]) as kicker:
            if not kicker.kick(ACCEPTED):
                return False
    return True


class Kicker:
    """Sends kicks to some of the processes that serve a data directory; a context."""

    def __init__(self, data_dir: Path, names: Sequence[str]) -> None:
        """Take where they are and the names they listen under."""
        self._names = names
        self._directory = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._sender.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def kick(self, kind: bytes) -> bool:
        """Send one to each; False when nobody listens any more, or it is closed.

        Raises:
            OSError: the machine is short of memory for it; try again.
        """
        was_heard = False
        for name in self._names:
            try:
                self._sender.sendto(kind, _short(self._directory, name))
                was_heard = True
            except BlockingIOError:
                was_heard = True
            except (FileNotFoundError, ConnectionRefusedError):
                pass  # it is about to start, and will look by itself
        return was_heard

    def close(self) -> None:
        """Let go of the sockets. Sessions that outlive it, when a process fails, reach nobody."""
        self._names = ()
        self._sender.close()
        os.close(self._directory)


class Gatherer:
    """Makes one call out of many: at once for the first, and for all that follow within a pause.

    One that raises OSError is made again after the pause.

    A process that accepts hundreds of messages a second kicks its neighbour some hundred times.
    """

    def __init__(self, call: Callable[[], object], pause: float) -> None:
        """Take what to call, and the seconds between two calls."""
        self._call = call
        self._pause = pause
        self._timer: asyncio.TimerHandle | None = None
        self._is_wanted = False

    def __call__(self) -> None:
        """Have it called, on the running loop."""
        self._is_wanted = True
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0, self._act)

    def close(self) -> None:
        """Call no more."""
        self._is_wanted = False
        if self._timer is not None:
            self._timer.cancel()

    def _act(self) -> None:
        self._timer = None
        if self._is_wanted:
            self._is_wanted = False
            try:
                self._call()
            except OSError:  # a kick that is short of memory
                self._is_wanted = True
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._act)


@contextmanager
def kick_listener(
    data_dir: Path, callback: Callable[[bytes], object], name: str = "all"
) -> Iterator[None]:
    """Call `callback` on the running loop with the kind of every kick while the context lasts."""
    loop = asyncio.get_running_loop()
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    receiver.setblocking(False)
    target = data_dir / f"{name}{_SUFFIX}"
    target.unlink(missing_ok=True)
    directory = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        receiver.bind(_short(directory, name))
    finally:
        os.close(directory)
    target.chmod(0o600)
    loop.add_reader(receiver, _drain, receiver, callback)
    try:
        yield
    finally:
        loop.remove_reader(receiver)
        receiver.close()
        target.unlink(missing_ok=True)


def _drain(receiver: socket.socket, callback: Callable[[bytes], object]) -> None:
    kinds = set()
    with suppress(BlockingIOError):
        while True:
            kinds.add(receiver.recv(1))
    for kind in kinds:
        callback(kind)


def _short(directory: int, name: str) -> str:
    """Return a path to a socket that fits the 107 bytes of a unix socket address (unix(7))."""
    return f"/proc/self/fd/{directory}/{name}{_SUFFIX}"
