"""The corpus of tests/data/dsn is whole: manifest and files agree, and the truth is well-formed."""

import email
import json
import re
from email import policy
from pathlib import Path
from typing import Any

import pytest

from mta.core.bounce import HARD, BounceClass

CORPUS = Path(__file__).parents[1] / "data" / "dsn"
ENTRIES: list[dict[str, Any]] = json.loads((CORPUS / "manifest.json").read_text(encoding="utf-8"))
RECIPIENTS = [(entry, who) for entry in ENTRIES for who in entry["recipients"]]
CLASSES = {member.value for member in BounceClass}
ACTIONS = {
    "bounce": {"failed", "delayed", "relayed", "delivered"},
    "delay": {"delayed"},
    "success": {"relayed", "delivered"},
}


def test_manifest_names_every_file_once() -> None:
    named = [entry["file"] for entry in ENTRIES]

    assert sorted(named) == sorted(path.name for path in CORPUS.glob("*.eml"))
    assert len(named) == len(set(named))


def test_there_are_enough_files_of_each_server() -> None:
    servers = [entry["server"] for entry in ENTRIES]

    assert len(servers) >= 500
    for server in ("postfix", "exim", "opensmtpd", "sendmail", "dma"):
        assert servers.count(server) >= 90, server


@pytest.mark.parametrize("server", sorted({entry["server"] for entry in ENTRIES}))
def test_every_file_parses(server: str) -> None:
    for entry in ENTRIES:
        if entry["server"] != server:
            continue
        data = (CORPUS / entry["file"]).read_bytes()
        message = email.message_from_bytes(data, policy=policy.compat32)

        assert message["Return-Path"] == "<>", entry["file"]
        assert message["Subject"], entry["file"]
        assert len(data) <= 20_100, entry["file"]
        kinds = {part.get_content_type() for part in message.walk()}
        is_report = bool(kinds & {"message/delivery-status", "message/global-delivery-status"})
        assert is_report == entry["has_rfc3464"], entry["file"]


def test_every_report_has_a_truth() -> None:
    for entry in ENTRIES:
        assert entry["kind"] in ACTIONS, entry["file"]
        assert entry["version"], entry["file"]
        assert entry["recipients"], entry["file"]
        assert entry["envelope_to"].endswith("@returns.test"), entry["file"]
        actions = {who["action"] for who in entry["recipients"]}
        assert actions <= ACTIONS[entry["kind"]], entry["file"]
        assert ("failed" in actions) == (entry["kind"] == "bounce"), entry["file"]


def test_every_truth_is_of_the_allowed_words() -> None:
    for entry, who in RECIPIENTS:
        name = entry["file"]
        assert "@" in who["address"], name
        assert {who["class"], *who["class_alt"]} <= CLASSES, name
        assert who["class"] not in who["class_alt"], name
        for status in (who["status"], *who["status_alt"]):
            assert re.fullmatch(r"([245]\.\d{1,3}\.\d{1,3})?", status), name
        assert who["code"] is None or 200 <= who["code"] < 600, name
        assert bool(who["reply"]) == (who["code"] is not None), name
        assert who["permanent"] in (True, False, None), name
        assert who["hard"] in (True, False, None), name


def test_truth_does_not_contradict_itself() -> None:
    for entry, who in RECIPIENTS:
        name = entry["file"]
        if who["hard"]:
            assert who["permanent"], name
            assert BounceClass(who["class"]) in HARD, name
        if who["action"] != "failed":
            assert not who["permanent"], name
            assert not who["hard"], name
        if who["permanent"] and who["code"]:
            assert who["code"] >= 500, name


def test_nothing_private_is_left() -> None:
    for entry in ENTRIES:
        data = (CORPUS / entry["file"]).read_bytes()
        for found in re.findall(rb"\[(\d+\.\d+\.\d+\.\d+)\]", data):
            assert found.startswith((b"127.", b"192.0.2.")), entry["file"]
        for domain in re.findall(rb"[\w.+-]@([\w-]+(?:\.[\w-]+)+)", data):
            assert domain.lower().endswith((b".test", b".example")), (entry["file"], domain)
