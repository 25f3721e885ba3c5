from __future__ import annotations

from mta.core.rate_limit import Meter, parse_limit
from storage import rate_limits
from storage.database import Connection
from tests.storage.builders import LATER, NOW

LIMITS = (parse_limit("100/s"), parse_limit("5000/m"))


def test_meters_come_back_as_they_were(connection: Connection) -> None:
    meters = {"key_1": Meter(NOW, (1.0, 2.5)), "key_2": Meter(LATER, (0.0, 7.0))}
    rate_limits.save(connection, LIMITS, meters)
    assert rate_limits.load(connection, LIMITS) == meters


def test_saving_again_replaces_and_forgets(connection: Connection) -> None:
    rate_limits.save(connection, LIMITS, {"a": Meter(NOW, (1.0, 2.0)), "b": Meter(NOW, (1.0, 1.0))})
    newer = {"a": Meter(LATER, (0.0, 3.0))}
    rate_limits.save(connection, LIMITS, newer, gone=["b"])
    assert rate_limits.load(connection, LIMITS) == newer


def test_a_changed_configuration_keeps_what_it_can(connection: Connection) -> None:
    rate_limits.save(connection, LIMITS, {"a": Meter(NOW, (1.0, 2.0))})
    others = (parse_limit("10/h"), parse_limit("5000/m"))
    assert rate_limits.load(connection, others) == {"a": Meter(NOW, (0.0, 2.0))}
    assert rate_limits.load(connection, ()) == {}
