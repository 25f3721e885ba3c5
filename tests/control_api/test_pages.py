"""Pages behind links: what stands in them is encoded, and their style is the only one allowed."""

from __future__ import annotations

import base64
import hashlib
import re

from control_api.pages import button, page


def test_the_policy_allows_the_style_of_the_page_and_no_other() -> None:
    answer = page("Leave", "You are about to leave.", button("Leave", {}))
    [style] = re.findall(r"<style>(.*?)</style>", bytes(answer.body).decode())
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = answer.headers["content-security-policy"]
    assert re.findall(r"style-src ([^;]*)", policy) == [f"'sha256-{digest}'"]
    assert policy.startswith("default-src 'none';")


def test_what_is_given_is_encoded() -> None:
    form = button("<b>", {'a"': "<i>"})
    html = bytes(page("<s>", "a & b", form, code="<u>").body).decode()
    for tag in ("<b>", "<i>", "<s>", "<u>", 'a"'):
        assert tag not in html
    assert "a &amp; b" in html
