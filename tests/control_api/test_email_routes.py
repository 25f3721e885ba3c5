"""Every route of emails and batches is documented, with an example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from control_api.email_routes import ROUTES
from control_api.routes import Route

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text()
ALIASES = {"/v1/emails/send"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_has_its_section(route: Route) -> None:
    if route.path in ALIASES:
        assert f"`{route.method} {route.path}`" in TEXT
        return
    heading = re.escape(f"### `{route.method} {route.path}`")
    found = re.search(rf"^{heading}$(.*?)(?=^##|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    assert found, "docs/api.md has no such heading"
    assert f"`{route.scope}`" in found[1]
    assert "curl -s" in found[1]
