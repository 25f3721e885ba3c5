"""What the service manager is told."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from mta import systemd


def test_a_state_reaches_the_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        systemd.notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_an_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"mailwright-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        systemd.notify("STOPPING=1")
        assert manager.recv(100) == b"STOPPING=1"


def test_a_manager_that_does_not_read_or_is_gone_holds_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    systemd.notify("READY=1")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        filler = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with filler:
            filler.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    filler.sendto(b"WATCHDOG=1", str(path))
            systemd.notify("STOPPING=1")
        with suppress(BlockingIOError):
            while True:
                assert manager.recv(100) == b"WATCHDOG=1"
    systemd.notify("READY=1")


def test_without_a_manager_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")
    monkeypatch.setenv("NOTIFY_SOCKET", "relative")
    systemd.notify("READY=1")
    assert systemd.watchdog_interval() is None


@pytest.mark.parametrize(
    ("microseconds", "pid", "interval"),
    [
        ("60000000", None, timedelta(seconds=30)),  # half of what the unit asks
        ("60000000", "1", None),  # meant for another process
        ("", None, None),
        ("soon", None, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, pid: str | None, interval: timedelta | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    if pid is None:
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
    else:
        monkeypatch.setenv("WATCHDOG_PID", pid)
    assert systemd.watchdog_interval() == interval


@pytest.mark.parametrize(
    ("microseconds", "interval"),
    [
        ("60000000", timedelta(milliseconds=500)),
        ("200000", timedelta(milliseconds=25)),  # or two children's beats never count together
        ("", None),
    ],
)
def test_children_beat_often_enough(
    monkeypatch: pytest.MonkeyPatch, microseconds: str, interval: timedelta | None
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert systemd.beat_interval() == interval
