"""What every command works with: the configuration and its settings, the clock, fresh ids."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from config.settings import Settings, find, load
from mta.core.ids import milliseconds, new_id


@dataclass
class Environment:
    """The configuration file named on the command line, and what follows from it."""

    config: Path | None = None

    @cached_property
    def source(self) -> Path:
        """The configuration file in use."""
        return find(self.config)

    @cached_property
    def settings(self) -> Settings:
        """The settings in it."""
        return load(self.source)

    def now(self) -> datetime:
        """The time (aware, UTC)."""
        return datetime.now(UTC)

    def new_id(self, prefix: str) -> str:
        """Return a fresh public id, such as "key_01K9...", for `prefix` "key"."""
        return new_id(prefix, milliseconds(self.now()), secrets.token_bytes(10))
