from mta.core.route import Credentials, Hop, Route


def test_credentials_do_not_show_in_logs() -> None:
    route = Route(
        "smarthost", (Hop("mx.example", "192.0.2.1", 587),), credentials=Credentials("jo", "secret")
    )
    assert "secret" not in repr(route)
    assert "jo" not in repr(route)
