"""Mail made of a template, over the wire."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

from tests.support.engine import configuration, running
from tests.support.receiver import Receiver

TEMPLATE = {
    "name": "order",
    "subject": "Order {{ number }}",
    "html": "<style>p { color: red }</style><p>Dear {{ name }}, thank you.</p>",
    "inline_css": True,
}


async def test_a_mail_of_a_template_arrives(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        config = configuration(routing={"*": f"smtp://{receiver.address}:{receiver.port}"})
        async with running(tmp_path, config) as engine:
            made = await engine.call("POST", "/v1/templates", TEMPLATE)
            assert made.status == 200, made.body
            template_id = made.body["id"]
            await engine.call("POST", f"/v1/templates/{template_id}/publish", {})
            variables = {"number": 1007, "name": "Ant & Bee"}
            mail = {
                "from": "shop@sender.test",
                "to": "ant@dest.test",
                "template": {"id": template_id, "variables": variables},
            }
            sent = await engine.call("POST", "/v1/emails", mail)
            assert sent.status == 200, sent.body
            [got] = await receiver.wait_for(1)
    message = cast("EmailMessage", email.message_from_bytes(got.data, policy=email.policy.default))
    html, text = message.get_body(("html",)), message.get_body(("plain",))
    assert html is not None
    assert text is not None
    assert message["Subject"] == "Order 1007"
    assert '<p style="color: red' in html.get_content()
    assert "Dear Ant &amp; Bee, thank you." in html.get_content()
    assert text.get_content().strip() == "Dear Ant & Bee, thank you."
