"""Figures for Prometheus: who may have them, and that their labels stay few."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from control_api.app import build_app
from mta.board import FIGURES
from mta.core.access import Access
from tests.control_api.conftest import EMAIL, Api
from tests.storage import builders
from tests.support.asgi import Client, Reply


def figures(reply: Reply) -> dict[str, float]:
    """Name and labels -> figure."""
    assert reply.status == 200
    lines = [line for line in reply.body.decode().splitlines() if not line.startswith("#")]
    return {name: float(number) for name, _, number in (line.rpartition(" ") for line in lines)}


async def test_what_there_is(api: Api) -> None:
    await api.client.post("/v1/emails", EMAIL | {"to": ["a@one.test", "b@two.test"]})
    api.database.write_now(
        lambda c: builders.settle_all(c, builders.claim(c, "one.test", at=api.clock.now))
    )
    api.clock.advance(seconds=90)
    services = replace(
        api.services,
        gauges=lambda: {"smtp_connections": 7, "errors_logged": 3},
        job_failures={"webhooks": 2},
    )
    reply = await Client(build_app(services)).get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = figures(reply)
    for name, number in {
        'mailwright_events_total{kind="queued",class="",provider=""}': 2,
        'mailwright_events_total{kind="delivered",class="",provider="other"}': 1,
        'mailwright_queue_entries{state="waiting"}': 1,
        'mailwright_queue_entries{state="held"}': 0,
        "mailwright_queue_oldest_seconds": 90,
        "mailwright_smtp_connections": 7,
        "mailwright_errors_logged_total": 3,
        'mailwright_job_failures_total{job="webhooks"}': 2,
        'mailwright_api_requests_total{method="POST",route="/v1/emails",status="2xx"}': 1,
    }.items():
        assert found[name] == number, name
    assert found["mailwright_commit_seconds_count"] >= 1
    for name in ("cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds"):
        assert found[f"process_{name}"] > 0


async def test_it_has_no_names_of_tenants_or_domains(api: Api) -> None:
    for number in range(20):
        await api.client.post("/v1/emails", EMAIL | {"to": [f"a@domain{number}.test"]})
    text = (await api.anonymous.get("/metrics")).body.decode()
    assert "domain1" not in text
    assert "tenant" not in text
    assert "em_" not in text.replace("system_", "")


@pytest.mark.parametrize(
    ("scopes", "status"),
    [(("stats:read",), 200), (("admin",), 200), (("full",), 200), (("emails:send",), 403)],
)
async def test_others_need_a_key(api: Api, scopes: tuple[str, ...], status: int) -> None:
    forwarded = {"x-forwarded-for": "192.0.2.1"}
    assert (await api.anonymous.get("/metrics", **forwarded)).status == 401
    key = api.new_key(access=Access(scopes=scopes))
    assert (await api.client_with(key).get("/metrics", **forwarded)).status == status


async def test_the_page_about_monitoring_names_them_all(api: Api) -> None:
    services = replace(
        api.services,
        gauges=lambda: dict.fromkeys(FIGURES, 0),
        job_failures={"webhooks": 0},
    )
    text = (await Client(build_app(services)).get("/metrics")).body.decode()
    page = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text("utf-8")
    given = set(re.findall(r"^# TYPE (mailwright_\w+)", text, re.MULTILINE))
    assert given == {name.removesuffix("_bucket") for name in re.findall(r"mailwright_\w+", page)}
