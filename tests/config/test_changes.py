"""Which settings a running server takes over."""

from __future__ import annotations

import pytest

from config.changes import fixed_changes
from config.settings import Settings, parse

HOST = '[server]\nhostname = "mta.sender.test"\n'


def settings(text: str = "") -> Settings:
    return parse(HOST + text, "mta.toml")


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        ('[smtp.submission]\nmax_connections = 5\n[delivery.retry]\nfirst = "1s"\n', []),
        ('[smtp.submission]\nlisten = ["127.0.0.1:25"]\n', ["smtp.submission.listen"]),
        ("[engine]\nprocesses = 3\n", ["engine.processes"]),
        (
            '[smtp.reports]\ndomain = "b.sender.test"\nlisten = ["127.0.0.1:25"]\n',
            ["smtp.reports.listen", "smtp.reports.domain"],
        ),
    ],
)
def test_what_was_bound_before_there_were_processes_stays(text: str, keys: list[str]) -> None:
    assert fixed_changes(settings(), settings(text)) == keys
