"""`mta reports import`: from files into storage, once each."""

from __future__ import annotations

import json

from tests.mta.cli.conftest import CommandLine
from tests.support.report_mails import arf, dsn

MAIL = b"To: ant@one.test\r\n\r\nbody\r\n"


def test_a_folder_is_handed_in_once(mta: CommandLine) -> None:
    folder = mta.directory / "mails"
    folder.mkdir()
    (folder / "1.eml").write_bytes(dsn(MAIL, "ant@one.test"))
    (folder / "2.eml").write_bytes(arf(MAIL))
    assert mta("reports", "import", str(folder)).stdout == "2 handed in, 0 known already\n"
    again = mta("reports", "import", str(folder), "--json")
    assert json.loads(again.stdout) == {"added": 0, "known": 2}
    with mta.database() as database:
        rows = database.read_now(
            lambda db: db.execute("SELECT source, state FROM reports").fetchall()
        )
    assert rows == [("import", 0)] * 2
    assert (folder / "1.eml").exists()


def test_a_place_that_is_not_there(mta: CommandLine) -> None:
    result = mta("reports", "import", "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.stderr
