"""`mta serve` as a service: exit codes, one line for what is wrong, what the manager hears."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

from tests.support.engine import configuration, running


async def serve(config: Path, **environment: str) -> tuple[int, str]:
    """Run `mta serve` until it ends by itself."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "mta.cli.main", "--config", str(config), "serve"),
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | environment,
    )
    async with asyncio.timeout(20):
        _, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, errors.decode()


async def test_a17_a_second_server_is_refused_and_the_command_line_is_not(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as engine:
        code, errors = await serve(engine.config)
        assert code == 75
        assert str(engine.process.pid) in errors  # type: ignore[union-attr]
        assert (await engine.mta("queue", "list"))[0] == 0
        assert (await engine.call("GET", "/readyz")).body == {"status": "ok"}
        assert await engine.stop() == 0


async def test_o03_a_port_in_use_is_one_line_and_exit_1(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "mta.toml"
        text = configuration().replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"', 1)
        config.write_text(text)
        code, errors = await serve(config)
    assert code == 1
    assert f"127.0.0.1:{port}" in errors
    assert "Traceback" not in errors


async def test_o03_a_wrong_key_is_one_line_and_exit_2(tmp_path: Path) -> None:
    config = tmp_path / "mta.toml"
    config.write_text("[delivery]\nprot = 25\n")
    code, errors = await serve(config)
    assert code == 2
    assert "delivery.prot" in errors
    assert len(errors.strip().splitlines()) == 1


async def test_an_unknown_fault_point_refuses_to_start(tmp_path: Path) -> None:
    config = tmp_path / "mta.toml"
    config.write_text(configuration())
    code, errors = await serve(config, MTA_FAULTS="nowhere")
    assert code == 2
    assert "nowhere" in errors
    assert "Traceback" not in errors


async def news(manager: socket.socket) -> bytes:
    """Return what the service manager hears next, but that all is well."""
    while True:
        state = await asyncio.get_running_loop().sock_recv(manager, 100)
        if state != b"WATCHDOG=1":
            return state


async def test_what_the_service_manager_hears(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.setblocking(False)
        config = tmp_path / "mta.toml"
        config.write_text(configuration())
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "mta.cli.main", "--config", str(config), "serve"),
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"},
        )
        async with asyncio.timeout(20):
            assert await loop.sock_recv(manager, 100) == b"READY=1"
            assert await loop.sock_recv(manager, 100) == b"WATCHDOG=1"
            process.send_signal(signal.SIGHUP)
            assert (await news(manager)).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert await news(manager) == b"READY=1"
            process.terminate()
            assert await news(manager) == b"STOPPING=1"
            _, errors = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in errors
