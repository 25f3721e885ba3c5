"""`mta reports parse`: files in, what they are out; no configuration needed."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from mta.cli.main import cli
from tests.core.report_mails import EXIM, feedback, notice


def parse(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        cli, ["--config", "/nowhere", "reports", "parse", *map(str, arguments)]
    )


def test_one_object_a_file(tmp_path: Path) -> None:
    bounce, complaint, letter = (tmp_path / name for name in ("1.eml", "2.eml", "3.eml"))
    bounce.write_bytes(notice(EXIM))
    complaint.write_bytes(feedback("Feedback-Type: abuse", "To: ant@there.test"))
    letter.write_bytes(b"Subject: hello\n\nhello\n")
    result = parse("--json", bounce, complaint, letter)
    assert result.exit_code == 0
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {
            "path": str(bounce),
            "kind": "bounce",
            "recipients": [
                {
                    "address": "ant@there.test",
                    "status": "5.2.2",
                    "class": "mailbox_full",
                    "permanent": True,
                    "hard": False,
                },
                {
                    "address": "bee@there.test",
                    "status": "",
                    "class": "bad_domain",
                    "permanent": True,
                    "hard": True,
                },
            ],
            "feedback_type": "",
        },
        {
            "path": str(complaint),
            "kind": "arf",
            "recipients": [
                {
                    "address": "ant@there.test",
                    "status": "",
                    "class": "feedback",
                    "permanent": None,
                    "hard": None,
                }
            ],
            "feedback_type": "abuse",
        },
        {"path": str(letter), "kind": "none", "recipients": [], "feedback_type": ""},
    ]


def test_for_people(tmp_path: Path) -> None:
    path = tmp_path / "1.eml"
    path.write_bytes(notice(EXIM))
    lines = parse(path).stdout.splitlines()
    assert lines[0].startswith(f"{path} bounce")
    assert lines[1].strip() == "ant@there.test 5.2.2 mailbox_full permanent (mailbox-full)"
    assert lines[2].strip() == "bee@there.test - bad_domain permanent hard (bad-domain)"


def test_an_unreadable_file_does_not_stop_the_others(tmp_path: Path) -> None:
    good = tmp_path / "good.eml"
    good.write_bytes(b"Subject: x\n\nx")
    result = parse("--json", tmp_path / "missing.eml", tmp_path, good)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{tmp_path / 'missing.eml'}: No such file or directory",
        f"{tmp_path}: Is a directory",
    ]
    assert json.loads(result.stdout)["path"] == str(good)


def test_no_file_is_a_usage_error() -> None:
    assert parse("--json").exit_code == 2
