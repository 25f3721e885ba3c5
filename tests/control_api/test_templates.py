"""Templates over HTTP: made, changed, published, filled; and emails that are made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mta.core.access import Access
from tests.control_api.conftest import EMAIL, Api, parsed
from tests.support.asgi import Client

PATH = "/v1/templates"
ORDER = {
    "name": "order",
    "subject": "Order {{ number }}",
    "html": "<p>Dear {{ name | default: 'customer' }}, {{ thing }} is on its way.</p>",
}
MAIL = {name: EMAIL[name] for name in ("from", "to")}
UNKNOWN = "tpl_01KJMQ0R000000000000000009"


async def make(api: Api, **fields: Any) -> Any:
    reply = await api.client.post(PATH, ORDER | fields)
    assert reply.status == 200, reply.json
    return reply.json


async def published(api: Api, **fields: Any) -> str:
    template_id = (await make(api, **fields))["id"]
    assert (await api.client.post(f"{PATH}/{template_id}/publish")).status == 200
    return str(template_id)


async def change(client: Client, method: str, path: str, body: Any) -> Any:
    return await client.request(method, path, body=json.dumps(body).encode())


def errors(reply: Any) -> list[tuple[str, str]]:
    assert reply.status == 422, reply.json
    return [(one["field"], one["code"]) for one in reply.json["errors"]]


class TestMaking:
    async def test_made_looked_at_and_deleted(self, api: Api) -> None:
        made = await make(api)
        assert made | {"id": ""} == {
            "object": "template",
            "id": "",
            "name": "order",
            "kind": None,
            "status": "draft",
            "version": 1,
            "published_version": None,
            "created_at": "2026-03-01T12:00:00.000Z",
            "updated_at": "2026-03-01T12:00:00.000Z",
            "subject": "Order {{ number }}",
            "html": ORDER["html"],
            "text": None,
            "inline_css": False,
        }
        path = f"{PATH}/{made['id']}"
        assert (await api.client.get(path)).json == made
        gone = await api.client.delete(path)
        assert gone.json == {"object": "template", "id": made["id"], "deleted": True}
        assert (await api.client.delete(path)).status == 200
        assert (await api.client.get(path)).status == 404

    async def test_list_is_newest_first_in_pages(self, api: Api) -> None:
        ids = [(await make(api, name=name))["id"] for name in "abc"]
        first = (await api.client.get(f"{PATH}?limit=2")).json
        assert [one["id"] for one in first["data"]] == ids[:0:-1]
        assert first["data"][0]["subject"] == ORDER["subject"]
        assert first["has_more"]
        rest = (await api.client.get(f"{PATH}?limit=2&after={ids[1]}")).json
        assert [one["id"] for one in rest["data"]] == ids[:1]
        assert not rest["has_more"]

    async def test_the_same_request_twice_makes_one(self, api: Api) -> None:
        made = [await api.client.post(PATH, ORDER, Idempotency_Key="one") for _ in range(2)]
        assert made[0].json == made[1].json
        assert len((await api.client.get(PATH)).json["data"]) == 1

    @pytest.mark.parametrize(
        ("fields", "found"),
        [
            ({"name": None}, ("name", "required")),
            ({"name": "x" * 257}, ("name", "too_long")),
            ({"name": 7}, ("name", "invalid_type")),
            ({"kind": "x" * 41}, ("kind", "too_long")),
            ({"kind": ["x"]}, ("kind", "invalid_type")),
            ({"subject": "a\r\nBcc: x"}, ("subject", "invalid_text")),
            ({"subject": "{{ open"}, ("subject", "invalid_template")),
            ({"html": None}, ("html", "invalid_template")),
            ({"html": "{% if %}"}, ("html", "invalid_template")),
            ({"html": "{% include 'x' %}"}, ("html", "invalid_template")),
            ({"html": "{{ 'x' | no_such_filter }}"}, ("html", "invalid_template")),
            ({"html": "x" * 262_145}, ("html", "too_long")),
            ({"html": "a\x00"}, ("html", "invalid_text")),
            ({"text": ["x"]}, ("text", "invalid_type")),
            ({"inline_css": "yes"}, ("inline_css", "invalid_type")),
            ({"no": 1}, ("no", "unknown_field")),
        ],
    )
    async def test_bad_input(self, api: Api, fields: Any, found: tuple[str, str]) -> None:
        assert errors(await api.client.post(PATH, ORDER | fields)) == [found]
        assert (await api.client.get(PATH)).json["data"] == []

    async def test_all_that_is_wrong_is_told_at_once(self, api: Api) -> None:
        body = ORDER | {"name": None, "subject": "s" * 999, "html": "x" * 262_145}
        assert errors(await api.client.post(PATH, body)) == [
            ("name", "required"),
            ("subject", "too_long"),
            ("html", "too_long"),
        ]
        body = ORDER | {"subject": "{{ x", "html": "{% if %}", "text": "{{ x | no_such }}"}
        assert errors(await api.client.post(PATH, body)) == [
            ("subject", "invalid_template"),
            ("html", "invalid_template"),
            ("text", "invalid_template"),
        ]

    async def test_others_templates_are_not_there(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api))['id']}"
        other = api.client_with(api.new_key(2))
        replies = [
            await other.get(path),
            await change(other, "PUT", path, ORDER),
            await change(other, "PATCH", path, {"name": "mine"}),
            await other.post(f"{path}/publish"),
            await other.post(f"{path}/render", {}),
            await other.get(f"{path}/versions"),
        ]
        assert {one.status for one in replies} == {404}
        assert (await other.get(PATH)).json["data"] == []
        assert (await other.delete(path)).status == 200
        assert (await api.client.get(path)).json["name"] == "order"

    async def test_scopes(self, api: Api) -> None:
        reader = api.client_with(api.new_key(access=Access(scopes=("templates:read",))))
        path = f"{PATH}/{(await make(api))['id']}"
        assert (await reader.get(path)).status == 200
        assert (await reader.post(PATH, ORDER)).status == 403
        assert (await reader.delete(path)).status == 403


class TestVersions:
    async def test_a_change_is_a_version_and_waits_for_being_published(self, api: Api) -> None:
        template_id = await published(api)
        path = f"{PATH}/{template_id}"
        api.clock.advance(hours=1)
        changed = (await change(api.client, "PATCH", path, {"subject": "Other"})).json
        assert (changed["version"], changed["published_version"]) == (2, 1)
        assert (changed["subject"], changed["html"]) == ("Other", ORDER["html"])
        assert changed["updated_at"] > changed["created_at"]
        old = (await api.client.get(f"{path}?version=1")).json
        assert (old["version"], old["subject"]) == (1, ORDER["subject"])
        shown = (await api.client.get(f"{path}/versions")).json
        assert [(one["version"], one["is_published"]) for one in shown["data"]] == [
            (2, False),
            (1, True),
        ]
        assert not shown["has_more"]
        assert (await api.client.post(f"{path}/publish")).json["published_version"] == 2
        back = await api.client.post(f"{path}/publish", {"version": 1})
        assert back.json["published_version"] == 1

    async def test_put_replaces_everything(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api, inline_css=True))['id']}"
        changed = (await change(api.client, "PUT", path, {"name": "b", "text": "t"})).json
        assert (changed["name"], changed["subject"], changed["html"]) == ("b", "", None)
        assert (changed["text"], changed["inline_css"], changed["version"]) == ("t", False, 2)

    async def test_a_kind_is_kept_until_it_is_changed(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api, kind='invoice'))['id']}"
        changed = (await change(api.client, "PATCH", path, {"name": "b"})).json
        assert (changed["kind"], changed["version"]) == ("invoice", 1)
        assert (await api.client.get(PATH)).json["data"][0]["kind"] == "invoice"
        other = (await change(api.client, "PATCH", path, {"kind": "receipt"})).json
        assert (other["name"], other["kind"]) == ("b", "receipt")
        assert (await change(api.client, "PUT", path, ORDER)).json["kind"] is None

    async def test_what_changes_nothing_is_no_version(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api))['id']}"
        assert (await change(api.client, "PUT", path, ORDER)).json["version"] == 1
        assert (await change(api.client, "PATCH", path, {"name": "other"})).json["version"] == 1
        assert (await api.client.get(path)).json["name"] == "other"

    async def test_null_takes_a_part_away_but_not_the_last(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api, text='t'))['id']}"
        assert (await change(api.client, "PATCH", path, {"html": None})).json["html"] is None
        assert errors(await change(api.client, "PATCH", path, {"text": None})) == [
            ("html", "invalid_template")
        ]
        assert errors(await change(api.client, "PATCH", path, {"name": None})) == [
            ("name", "required")
        ]

    async def test_versions_that_there_are_not(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api))['id']}"
        assert (await api.client.get(f"{path}?version=2")).status == 404
        assert errors(await api.client.get(f"{path}?version=x")) == [("version", "invalid_value")]
        for wrong in (0, -1, True, "1", 2**40):
            found = errors(await api.client.post(f"{path}/publish", {"version": wrong}))
            assert found == [("version", "invalid_value")]
        found = errors(await api.client.post(f"{path}/publish", {"version": 2}))
        assert found == [("version", "not_found")]
        assert (await api.client.post(f"{PATH}/{UNKNOWN}/publish")).status == 404


class TestRendering:
    async def test_html_is_escaped_and_text_is_derived(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api))['id']}/render"
        reply = await api.client.post(path, {"variables": {"number": 7, "thing": "<b>&"}})
        assert reply.status == 200, reply.json
        assert reply.json["subject"] == "Order 7"
        assert reply.json["html"] == "<p>Dear customer, &lt;b&gt;&amp; is on its way.</p>"
        assert reply.json["text"].strip() == "Dear customer, <b>& is on its way."

    async def test_styles_move_inline_on_request(self, api: Api) -> None:
        html = "<style>p { color: red }</style><p>x</p>"
        path = f"{PATH}/{(await make(api, html=html, subject='', inline_css=True))['id']}/render"
        made = (await api.client.post(path, {})).json["html"]
        assert '<p style="color: red' in made

    async def test_missing_variables_are_named(self, api: Api) -> None:
        path = f"{PATH}/{(await make(api))['id']}/render"
        assert errors(await api.client.post(path, {"variables": {}})) == [
            ("variables.number", "missing_variable"),
            ("variables.thing", "missing_variable"),
        ]

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"variables": [1]}, "variables"),
            ({"variables": {"a": "\x00"}}, "variables"),
            ({"version": "x"}, "version"),
            ({"more": 1}, "more"),
        ],
    )
    async def test_bad_input(self, api: Api, body: Any, field: str) -> None:
        path = f"{PATH}/{(await make(api))['id']}/render"
        assert [name for name, _ in errors(await api.client.post(path, body))] == [field]

    @pytest.mark.parametrize(
        "html",
        [
            "{% for a in (1..9999) %}{% for b in (1..9999) %}x{% endfor %}{% endfor %}",
            "{{ 1 | divided_by: 0 }}",
        ],
    )
    async def test_what_cannot_be_filled_is_refused(self, api: Api, html: str) -> None:
        path = f"{PATH}/{(await make(api, html=html, subject=''))['id']}/render"
        assert errors(await api.client.post(path, {})) == [("variables", "invalid_template")]


class TestSending:
    async def send(self, api: Api, use: Any, **fields: Any) -> Any:
        return await api.client.post("/v1/emails", MAIL | {"template": use} | fields)

    async def test_an_email_is_made_of_the_published_version(self, api: Api) -> None:
        template_id = await published(api)
        await change(api.client, "PATCH", f"{PATH}/{template_id}", {"subject": "Draft"})
        variables = {"number": 7, "thing": "tea & <i>milk</i>"}
        sent = await self.send(api, {"id": template_id, "variables": variables})
        assert sent.status == 200, sent.json
        message = parsed(api.stored(sent.json["id"]))
        assert message["Subject"] == "Order 7"
        html, text = message.get_body(("html",)), message.get_body(("plain",))
        assert html is not None
        assert text is not None
        assert "tea &amp; &lt;i&gt;milk&lt;/i&gt;" in html.get_content()
        assert "tea & <i>milk</i> is on its way" in text.get_content()

    async def test_a_subject_overrides_the_templates(self, api: Api) -> None:
        use = {"id": await published(api), "variables": {"thing": "tea"}}
        sent = await self.send(api, use, subject="{{ literal }}")
        assert parsed(api.stored(sent.json["id"]))["Subject"] == "{{ literal }}"

    async def test_variables_cannot_write_header_fields(self, api: Api) -> None:
        use = {
            "id": await published(api),
            "variables": {"number": "1\r\nBcc: x@y.test", "thing": 1},
        }
        sent = await self.send(api, use)
        message = parsed(api.stored(sent.json["id"]))
        assert (message["Subject"], message["Bcc"]) == ("Order 1 Bcc: x@y.test", None)
        use["variables"] = {"number": "\x07", "thing": 1}
        assert errors(await self.send(api, use)) == [("template.variables", "invalid_text")]

    async def test_missing_variables_are_named(self, api: Api) -> None:
        reply = await self.send(api, {"id": await published(api)})
        assert errors(reply) == [
            ("template.variables.number", "missing_variable"),
            ("template.variables.thing", "missing_variable"),
        ]

    async def test_html_or_text_beside_it_is_a_conflict(self, api: Api) -> None:
        use = {"id": await published(api), "variables": {"number": 1, "thing": 1}}
        found = errors(await self.send(api, use, html="<p>x", text="x"))
        assert found == [("html", "conflict"), ("text", "conflict")]

    @pytest.mark.parametrize(
        ("use", "found"),
        [
            ("x", ("template", "invalid_type")),
            ({}, ("template.id", "required")),
            ({"id": 7}, ("template.id", "invalid_type")),
            ({"id": UNKNOWN}, ("template.id", "not_found")),
            ({"id": "em_x"}, ("template.id", "not_found")),
            ({"id": UNKNOWN, "variables": 1}, ("template.variables", "invalid_type")),
            ({"id": UNKNOWN, "x": 1}, ("template.x", "unknown_field")),
        ],
    )
    async def test_bad_input(self, api: Api, use: Any, found: tuple[str, str]) -> None:
        assert errors(await self.send(api, use)) == [found]

    async def test_drafts_and_others_templates_send_nothing(self, api: Api) -> None:
        draft = (await make(api))["id"]
        assert errors(await self.send(api, {"id": draft})) == [("template.id", "not_published")]
        other = api.client_with(api.new_key(2))
        mail = MAIL | {"template": {"id": await published(api)}}
        assert errors(await other.post("/v1/emails", mail)) == [("template.id", "not_found")]

    async def test_a_batch_is_filled_one_by_one(self, api: Api) -> None:
        template_id = await published(api)
        mails = [
            MAIL | {"template": {"id": template_id, "variables": {"number": n, "thing": "tea"}}}
            for n in (1, 2)
        ]
        wrong = MAIL | {"template": {"id": template_id, "variables": {"number": 3}}}
        reply = await api.client.post(
            "/v1/emails/batch", [*mails, wrong], X_Batch_Validation="permissive"
        )
        assert reply.json["sent"] == 2, reply.json
        subjects = [parsed(api.stored(one["id"]))["Subject"] for one in reply.json["data"]]
        assert subjects == ["Order 1", "Order 2"]
        [refused] = reply.json["errors"]
        assert (refused["index"], refused["code"]) == (2, "missing_variable")
