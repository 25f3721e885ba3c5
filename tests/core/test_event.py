from mta.core.event import EventKind


def test_every_kind_has_its_own_webhook_type() -> None:
    types = [kind.webhook_type for kind in EventKind]
    assert len(set(types)) == len(types)
    assert all(name.startswith("email.") for name in types)


def test_names_that_webhook_consumers_know() -> None:
    assert EventKind.DEFERRED.webhook_type == "email.delayed"
    assert EventKind.EXPIRED.webhook_type == "email.failed"
    assert EventKind.DELIVERED.webhook_type == "email.delivered"
