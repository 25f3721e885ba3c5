"""Log lines: one per record, fields encoded, never in the way of mail."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from mta.logs import log_error, log_event, logging_to_stderr

HOSTILE = "550 no\r\n2026-01-01T00:00:00.000Z info forged\x1b[2J\u2028"


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.removesuffix("\n").split("\n")


def test_a_plain_line_has_time_level_logger_kind_and_fields(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with logging_to_stderr(style="plain", level="info"):
        log_event("delivered", email="em_1", to="dest.test", reply="250 2.0.0 ok", host="")
    (line,) = lines(capsys)
    assert line.endswith(' info mta.event delivered email=em_1 to=dest.test reply="250 2.0.0 ok"')
    assert line[10] == "T"
    assert "host" not in line


@pytest.mark.parametrize("style", ["plain", "json"])
def test_h13_hostile_text_stays_in_its_line(capsys: pytest.CaptureFixture[str], style: str) -> None:
    with logging_to_stderr(style="json" if style == "json" else "plain", level="info"):
        log_event("deferred", reply=HOSTILE)
    (line,) = lines(capsys)
    assert "\x1b" not in line
    assert "\u2028" not in line or style == "json"


def test_a_json_line_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(style="json", level="info"):
        log_event("queued", email="em_1", size=392)
    (line,) = lines(capsys)
    record = json.loads(line)
    assert record["message"] == "queued"
    assert (record["email"], record["size"], record["level"]) == ("em_1", 392, "info")


def test_the_level_is_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to_stderr(style="plain", level="warning"):
        log_event("queued", email="em_1")
        logging.getLogger("mta.test").warning("low disk")
        log_error("process_ended", part="front")
    first, second = lines(capsys)
    assert first.endswith("warning mta.test low disk")
    assert second.endswith("error mta.event process_ended part=front")


def test_a_traceback_is_readable_in_plain_and_one_field_in_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for style in ("plain", "json"):
        with logging_to_stderr(style=style, level="info"):
            try:
                int("bad\nvalue")
            except ValueError:
                logging.getLogger("mta.test").exception("it broke")
    *plain, last = lines(capsys)
    assert plain[0].endswith("error mta.test it broke")
    assert all(line.startswith("    ") for line in plain[1:])
    assert "ValueError" in json.loads(last)["traceback"]


def test_b03_a_log_that_cannot_be_written_does_not_reach_the_caller(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with (tmp_path / "log").open("w") as log:
        monkeypatch.setattr(sys, "stderr", log)
        with logging_to_stderr(style="plain", level="info", in_thread=False):
            writable = os.dup(log.fileno())
            with Path("/dev/full").open("w") as full:
                os.dup2(full.fileno(), log.fileno())
            for _ in range(10):
                log_event("queued", email="em_1")
            os.dup2(writable, log.fileno())
            os.close(writable)
            log_event("queued", email="em_2")
        monkeypatch.undo()
    notice, line = (tmp_path / "log").read_text().splitlines()
    assert "10 log lines were dropped" in notice
    assert line.endswith("email=em_2")


def test_lines_of_a_busy_moment_are_written_whole_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    with open(writing, "w") as log, open(reading) as back:  # noqa: PTH123 - descriptors
        monkeypatch.setattr(sys, "stderr", log)
        with logging_to_stderr(style="plain", level="info"):
            for number in range(200):
                log_event("queued", email=f"em_{number}")
        log.close()
        assert [line.rpartition("_")[2] for line in back.read().splitlines()] == [
            str(number) for number in range(200)
        ]
        monkeypatch.undo()
