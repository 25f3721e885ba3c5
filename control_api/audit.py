"""Who logs in, and who changes users and keys: lines of the server's log, to be looked into later.

Never in them: passwords, tokens, addresses of people. The requests themselves are in the tenant's
log of requests too (request_meter.py), those of users under the user's id.
"""

from __future__ import annotations

import logging

from control_api.client_address import client_address
from control_api.request_meter import Asker, attribute_to_user
from control_api.routes import Call
from storage.users import Credentials

_log = logging.getLogger(__name__)


def begin_login(call: Call, credentials: Credentials) -> None:
    """Leave word whose password, or link, a request shows, be it the right one or not."""
    asker = Asker(credentials.tenant_id, credentials.user_id)
    attribute_to_user(call.request.scope, asker)


def logged_in(call: Call, user_id: str) -> None:
    """Say that a user has a new token."""
    _log.info("user %s logged in from %s", user_id, _client(call))


def refused(call: Call, user_id: str = "") -> None:
    """Say that somebody showed a wrong password, or a link that does not work; whose, if known."""
    named = f"user {user_id}" if user_id else "nobody that there is"
    _log.warning("login of %s refused, from %s", named, _client(call))


def changed(call: Call, what: str, user_id: str) -> None:
    """Say what a key or user has done to a user, such as "added"."""
    _log.info("user %s %s by %s from %s", user_id, what, call.key.id, _client(call))


def key_changed(call: Call, what: str, key_id: str) -> None:
    """Say what a key or user has done to an API key, such as "made"."""
    _log.info("key %s %s by %s from %s", key_id, what, call.key.id, _client(call))


def _client(call: Call) -> str:
    proxies = call.services.settings.api.trusted_proxies
    return client_address(call.request, proxies).text or "an unknown address"
