"""Messages read back one by one; lists of them are in test_message_lists.py."""

from __future__ import annotations

from dataclasses import replace

from storage import messages
from storage.database import Connection
from tests.storage import builders
from tests.storage.builders import accept


def test_one_message(connection: Connection) -> None:
    public_id = accept(connection).public_id
    view = messages.get(connection, 1, public_id)
    assert view
    assert view.public_id == public_id
    assert messages.get(connection, None, public_id) == view
    assert messages.get(connection, 2, public_id) is None
    assert messages.get(connection, None, "em_unknown") is None
    assert messages.row_of(connection, 1, public_id) == (view.row_id, True)
    assert messages.row_of(connection, 2, public_id) is None


def test_addressees_are_shown_as_submitted(connection: Connection) -> None:
    header = replace(
        builders.submission().header, cc=("Elk <e@x.example>",), bcc=("z@x.example",), reply_to=()
    )
    view = messages.get(connection, 1, accept(connection, header=header).public_id)
    assert view
    assert (view.to, view.cc) == (("ant@example.net",), ("Elk <e@x.example>",))
    assert (view.bcc, view.reply_to) == (("z@x.example",), ())


def test_messages_come_in_the_order_asked_for(connection: Connection) -> None:
    rows = [accept(connection).message_id for _ in range(3)]
    views = messages.by_rows(connection, [rows[2], rows[0], 99, rows[1]])
    assert [view.row_id for view in views] == [rows[2], rows[0], rows[1]]
