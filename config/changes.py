"""Which settings a running server can take over, and which need another start.

What is bound or shared before there are processes stays as it is while they run.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

from config.settings import Settings

FIXED = (
    "server.data_dir",
    "engine.processes",
    "api.listen",
    "smtp.submission.listen",
    "smtp.submission.tls_listen",
    "smtp.reports.listen",
    "smtp.reports.domain",
)
"""Keys whose new values need another start."""


def fixed_changes(running: Settings, wanted: Settings) -> list[str]:
    """Return the keys that differ and cannot be taken over; empty when `wanted` can be, whole."""
    return [key for key in FIXED if _value(running, key) != _value(wanted, key)]


def _value(settings: Settings, key: str) -> Any:
    return reduce(getattr, key.split("."), settings)
