"""Canaries for every secret: none sings in logs, storage, answers, the process list. (I04, I08)"""

from __future__ import annotations

import smtplib
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mta.core.api_key import ENTROPY_SIZE, format_key
from tests.support.engine import Engine, configuration, running
from tests.support.receiver import Receiver

SMARTHOST_PASSWORD = "canary-smarthost-4711"
WRONG_PASSWORD = "canary-typed-wrong-4712"
URL_TOKEN = "canary-in-url-4713"
UNKNOWN_KEY = format_key(b"\x5a" * ENTROPY_SIZE)
EXTRA = """
[log]
level = "debug"
format = "json"
[webhooks]
allow_private_targets = ["127.0.0.0/8"]
timeout = "1s"
"""
MESSAGE = b"From: a@sender.test\r\nSubject: s\r\n\r\nbody\r\n"
EMAIL = {"from": "a@sender.test", "to": "b@dest.test", "subject": "s", "text": "t"}


async def test_i04_i08_no_secret_is_seen_anywhere(tmp_path: Path) -> None:
    async with Receiver(users={"user": SMARTHOST_PASSWORD}) as receiver:
        smarthost = f"smtp://user:{SMARTHOST_PASSWORD}@127.0.0.1:{receiver.port}"
        config = configuration(routing={"*": smarthost}, extra=EXTRA).replace(
            "[smtp.submission]", "[smtp.submission]\nrequire_tls_for_auth = false"
        )
        async with running(tmp_path, config) as engine, engine.journal() as until:
            answers, webhook_secret = await use(engine)
            await engine.submit(MESSAGE, "a@sender.test", "b@dest.test")
            await until(kind="delivered", count=2)
            shown = [str(answer) for answer in answers] + [await printed(engine)]
            processes = b"".join(process_list(engine))
            assert await engine.stop() == 0
    assert receiver.messages[0].user == "user"
    stored = b"".join(each.read_bytes() for each in engine.data.rglob("mailwright.db*"))
    log = engine.log()
    assert "delivered" in log
    for secret in (engine.key, SMARTHOST_PASSWORD, WRONG_PASSWORD, UNKNOWN_KEY):
        for form in forms(secret):
            assert form not in log
            assert form.encode() not in stored
            assert form not in "".join(shown)
            assert form.encode() not in processes
    for secret in (webhook_secret, URL_TOKEN):  # kept, since posts need them, and told to nobody
        assert secret not in log
        assert secret.encode() not in processes
    assert webhook_secret not in "".join(shown)


async def use(engine: Engine) -> tuple[list[Any], str]:
    """Use each secret rightly and wrongly; return all answers but the one that tells the secret."""
    log_in(engine, engine.key)
    log_in(engine, WRONG_PASSWORD)
    log_in(engine, UNKNOWN_KEY)
    url = f"http://127.0.0.1:8899/hook/{URL_TOKEN}"
    made = await engine.call("POST", "/v1/webhooks", {"url": url})
    assert made.status == 200, made
    answers = [
        await engine.call("POST", "/v1/emails", EMAIL),
        await engine.call("POST", "/v1/emails", {"nonsense": 1}),
        await engine.call("GET", f"/v1/webhooks/{made.body['id']}"),
        await engine.call("GET", "/v1/webhooks"),
        await engine.call("GET", "/v1/api-keys"),
        await engine.call("GET", "/v1/logs"),
        await engine.call("GET", "/v1/queue"),
        await engine.call("GET", "/v1/nothing"),
        await engine.call("GET", "/v1/emails", headers={"Authorization": f"Bearer {UNKNOWN_KEY}"}),
        await engine.call("GET", f"/v1/emails?after={UNKNOWN_KEY}"[:20]),
    ]
    return answers, made.body["secret"]


def forms(secret: str) -> list[str]:
    """Return a secret as it is, as AUTH LOGIN sends it and as AUTH PLAIN does."""
    whole = (secret.encode(), b"\0anyone\0" + secret.encode(), b"\0user\0" + secret.encode())
    return [secret, *(b64encode(each).decode() for each in whole)]


def log_in(engine: Engine, password: str) -> None:
    with (
        smtplib.SMTP("127.0.0.1", engine.smtp_port, timeout=20) as client,
        suppress(smtplib.SMTPAuthenticationError),
    ):
        client.login("anyone", password)


async def printed(engine: Engine) -> str:
    """Return what the commands print for operators."""
    commands = (["check"], ["queue", "list"], ["key", "list"], ["webhook", "list"], ["events"])
    return str([await engine.mta(*command) for command in commands])


def process_list(engine: Engine) -> Iterator[bytes]:
    """Give command lines and environments of all processes with this configuration."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if str(engine.config).encode() in command:
                yield command + (process / "environ").read_bytes()
