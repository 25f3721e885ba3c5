"""The whole application on a real database, asked in process."""

from __future__ import annotations

import email
import email.policy
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import pytest

from config.settings import Api as ApiSettings
from config.settings import ApiLimits, Policy, Server, Settings
from control_api.app import build_app
from control_api.auth import Gate
from control_api.http_client import HttpClient
from control_api.queue_changes import QueueChanger
from control_api.routes import Services
from control_api.tracker import Tracker
from mta.core.access import UNRESTRICTED, Access
from mta.core.api_key import ENTROPY_SIZE, format_key, key_hash, last4
from mta.core.header import HeaderBlock, split_header
from storage import tenants
from storage.database import Database
from storage.key_uses import KeyUses
from tests.support.asgi import Client
from tests.support.databases import new_database

EMAIL: dict[str, Any] = {
    "from": "Ant <ant@sender.example>",
    "to": ["bee@example.net"],
    "subject": "Hello",
    "text": "Hi Bee",
}
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def parsed(data: bytes) -> EmailMessage:
    """Read a message with a reader that is not ours."""
    return cast("EmailMessage", email.message_from_bytes(data, policy=email.policy.default))


def random_key() -> str:
    return format_key(os.urandom(ENTROPY_SIZE))


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **units: float) -> None:
        self.now += timedelta(**units)


@dataclass
class Api:
    """An application and what is around it.

    Attributes:
        client: with the key of tenant 1.
        kicks: how often the engine was woken.
        urgent: how often it was told to make way.
        engine_problem: what the engine says of itself.
    """

    database: Database
    settings: Settings
    http: HttpClient
    clock: Clock = field(default_factory=Clock)
    kicks: int = 0
    urgent: int = 0
    engine_problem: str = ""

    def __post_init__(self) -> None:
        self.uses = KeyUses(self.database, self.clock)
        self.tracker = Tracker(self.database, self.settings.api.public_url)
        self.services = Services(
            database=self.database,
            settings=self.settings,
            gate=Gate(self.database, self.settings.api, self.uses, self.clock),
            client=self.http,
            kick=self._kick,
            expect_urgent=self._expect_urgent,
            now=self.clock,
            entropy=os.urandom,
            engine_problem=lambda: self.engine_problem,
            tracker=self.tracker,
            queue_changer=QueueChanger(self.database, self._kick),
        )
        self.app = build_app(self.services)
        self.anonymous = Client(self.app)
        self.key = self.new_key()
        self.client = self.client_with(self.key)

    def _kick(self) -> None:
        self.kicks += 1

    def _expect_urgent(self) -> None:
        self.urgent += 1

    def client_with(self, key: str) -> Client:
        return Client(self.app, {"Authorization": f"Bearer {key}"})

    def new_key(self, tenant_id: int = 1, access: Access = UNRESTRICTED) -> str:
        """Make a key, and its tenant where that is missing."""
        key = format_key(os.urandom(ENTROPY_SIZE), is_test=access.is_test)
        self.database.write_now(
            lambda db: db.execute(
                "INSERT INTO tenants (id, name, created_at) VALUES (?, ?, 0)"
                " ON CONFLICT DO NOTHING",
                (tenant_id, f"tenant{tenant_id}"),
            )
        )
        self.database.write_now(
            lambda db: tenants.create_key(
                db,
                tenant_id=tenant_id,
                name="test",
                key_id=self.key_id(key),
                key_hash=key_hash(key),
                last4=last4(key),
                now=self.clock.now,
                access=access,
            )
        )
        return key

    @staticmethod
    def key_id(key: str) -> str:
        return f"key_{key[-26:]}"

    def with_settings(self, **tables: object) -> Api:
        """Return another application on the same database; its settings have these tables."""
        settings = replace(self.settings, **tables)  # type: ignore[arg-type]
        return Api(self.database, settings, self.http, self.clock)

    def stored(self, email_id: str) -> bytes:
        """Return the bytes of the message that will be delivered."""
        file, data = self.database.read_now(
            lambda db: db.execute(
                "SELECT b.file, b.data FROM bodies b JOIN messages m ON m.id = b.message_id"
                " WHERE m.public_id = ?",
                (email_id,),
            ).fetchone()
        )
        if file is None:
            return bytes(data)
        with self.database.spool.open(file) as spooled:
            return spooled.read()

    def header(self, email_id: str) -> HeaderBlock:
        return HeaderBlock.parse(split_header(self.stored(email_id))[0])

    def count(self, table: str) -> int:
        sql = f"SELECT COUNT(*) FROM {table}"  # noqa: S608 - tests name tables
        return int(self.database.read_now(lambda db: db.execute(sql).fetchone())[0])


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    database = new_database(tmp_path / "data")
    http = HttpClient(timeout=timedelta(seconds=5), allowed=[ip_network("127.0.0.0/8")])
    settings = Settings(
        server=Server(hostname="mta.sender.test", data_dir=tmp_path / "data"),
        api=ApiSettings(limits=ApiLimits(wrong_keys=())),
        policy=Policy(require_verified_domain=False),
    )
    try:
        yield Api(database, settings, http)
    finally:
        await http.close()
        database.close()
