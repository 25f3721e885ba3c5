"""The kick: an empty datagram that tells a running engine to look into storage again.

It carries no data. Whoever changed the queue from another process (the command line, later another
role) sends one after its commit; losing one is harmless only while somebody else kicks, so the
socket's buffer being full counts as delivered: the engine has kicks to read then.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SOCKET_NAME = "engine.sock"


def kick_engine(data_dir: Path) -> bool:
    """Wake the engine that serves data_dir; False when none is running."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, _short(data_dir) as path:
        sender.setblocking(False)
        try:
            sender.sendto(b"", path)
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except BlockingIOError:
            return True
    return True


@contextmanager
def kick_listener(data_dir: Path, callback: Callable[[], None]) -> Iterator[None]:
    """Call `callback` on the running loop at every kick while the context lasts."""
    loop = asyncio.get_running_loop()
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.setblocking(False)
    target = data_dir / SOCKET_NAME
    target.unlink(missing_ok=True)
    with _short(data_dir) as path:
        receiver.bind(path)
    target.chmod(0o600)
    loop.add_reader(receiver, _drain, receiver, callback)
    try:
        yield
    finally:
        loop.remove_reader(receiver)
        receiver.close()
        target.unlink(missing_ok=True)


def _drain(receiver: socket.socket, callback: Callable[[], None]) -> None:
    with suppress(BlockingIOError):
        while True:
            receiver.recv(1)
            callback()


@contextmanager
def _short(data_dir: Path) -> Iterator[str]:
    """Give a path to the socket that fits the 107 bytes of a unix socket address (unix(7))."""
    directory = os.open(data_dir, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{SOCKET_NAME}"
    finally:
        os.close(directory)
