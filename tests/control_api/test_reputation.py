"""The reputation of a sender domain, over HTTP."""

from __future__ import annotations

from tests.control_api.conftest import EMAIL, Api


def add_domain(api: Api, tenant_id: int = 1) -> None:
    api.new_key(tenant_id)
    api.database.write_now(
        lambda db: db.execute(
            "INSERT INTO domains (id, tenant_id, name, created_at)"
            " VALUES ('dom_1', ?, 'sender.example', 0)",
            (tenant_id,),
        )
    )


async def test_score_and_rates(api: Api) -> None:
    add_domain(api)
    empty = await api.client.get("/v1/domains/sender.example/reputation")
    assert (empty.json["score"], empty.json["bounce_rate"], empty.json["sent"]) == (None, None, 0)
    for _ in range(4):
        await api.client.post("/v1/emails", EMAIL)
    api.database.write_now(
        lambda db: db.execute(
            "INSERT INTO events (message_id, entry_id, tenant_id, kind, at, data)"
            " SELECT id, id, 1, CASE id WHEN 1 THEN 'bounced' ELSE 'delivered' END, created_at,"
            " '{}' FROM messages"
        )
    )
    answer = await api.client.get("/v1/domains/dom_1/reputation")
    assert answer.status == 200
    found = {name: answer.json[name] for name in ("score", "sent", "delivered", "bounce_rate")}
    assert found == {"score": 40, "sent": 4, "delivered": 3, "bounce_rate": 0.25}


async def test_others_domains_are_not_there(api: Api) -> None:
    add_domain(api, tenant_id=2)
    assert (await api.client.get("/v1/domains/dom_1/reputation")).status == 404
