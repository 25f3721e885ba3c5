"""Canaries for every secret: none sings in logs, storage, answers, the process list. (I04, I08)"""

from __future__ import annotations

import asyncio
import smtplib
import urllib.request
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
PASSWORD, NEXT_PASSWORD = "canary-of-a-user-4714", "canary-of-a-user-4715"
UNKNOWN_KEY = format_key(b"\x5a" * ENTROPY_SIZE)
USER = "elk@sender.test"
EXTRA = """
[log]
level = "debug"
format = "json"
[api.login]
enabled = true
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


async def test_i04_i08_what_people_log_in_with_is_seen_nowhere_else(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        pin = {"*": f"smtp://{receiver.address}:{receiver.port}"}
        config = configuration(routing=pin, extra=EXTRA)
        async with running(tmp_path, config) as engine:
            told = await log_people_in(engine)
            answers = [str(await engine.call("GET", path)) for path in LOOKS]
            answers.append(str(await engine.call("GET", f"{DIALECT}?api_token={engine.key}")))
            answers += [await printed(engine), str(await engine.mta("user", "list", "--json"))]
            processes = b"".join(process_list(engine))
            assert await engine.stop() == 0
    stored = b"".join(each.read_bytes() for each in engine.data.rglob("mailwright.db*"))
    log, shown = engine.log(), "".join(answers)
    assert USER in shown
    for secret in (engine.key, PASSWORD, NEXT_PASSWORD, WRONG_PASSWORD, *told):
        assert secret not in log
        assert secret.encode() not in stored
        assert secret not in shown
        assert secret.encode() not in processes
    assert b"$argon2id$" in stored
    assert "$argon2id$" not in shown + log


LOOKS = ("/v1/users", "/v1/me", "/v1/logs?limit=100", "/v1/events?limit=100", "/v1/automations")
DIALECT = "/compat/emailflow/api/v1/lists"


async def log_people_in(engine: Engine) -> list[str]:
    """Use passwords, tokens and links, rightly and wrongly; return the tokens that were told."""
    made = await engine.call("POST", "/v1/users", {"email": USER, "password": PASSWORD})
    assert made.status == 200, made
    right, wrong = ({"email": USER, "password": one} for one in (PASSWORD, WRONG_PASSWORD))
    nobody = {"Authorization": ""}
    assert (await engine.call("POST", "/v1/login", wrong, nobody)).status == 401
    first = (await engine.call("POST", "/v1/login", right, nobody)).body["token"]
    link = (await engine.call("POST", "/v1/login-tokens", {"user_id": made.body["id"]})).body
    assert b"<button" in await asyncio.to_thread(opened, f"{engine.api}/login/{link['token']}")
    used = {"token": link["token"]}
    second = (await engine.call("POST", "/v1/login", used, nobody)).body["token"]
    assert (await engine.call("POST", "/v1/login", used, nobody)).status == 401
    change = {"current_password": PASSWORD, "password": NEXT_PASSWORD}
    own = {"Authorization": f"Bearer {second}"}
    assert (await engine.call("POST", "/v1/me/password", change, own)).status == 200
    assert (await engine.call("GET", "/v1/me", headers=own)).status == 401
    return [first, second, link["token"]]


def opened(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310
        page: bytes = answer.read()
        return page


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
