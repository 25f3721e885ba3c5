"""MailsFlux: the native API has its paths and shapes, so every call is passed on as it is.

At the root the native routes answer themselves; below /compat/mailsflux these do.
"""

from __future__ import annotations

from control_api.dialects.base import Act, Ask, Asked, Dialect, Operation, Refused, Reply, Steps
from control_api.errors import problem_body


def _passed_on(method: str, path: str, renamed: dict[str, str] | None = None) -> Act:
    """Return what asks the native API the same; `renamed`: parameters of its path by ours."""

    def act(asked: Asked) -> Steps:
        params = {(renamed or {}).get(name, name): value for name, value in asked.path.items()}
        has_body = method in ("POST", "PUT", "PATCH")
        answer = yield Ask(
            method,
            path,
            params,
            asked.query,
            asked.body if has_body else None,
            {name: asked.headers[name] for name in _HEADERS if name in asked.headers},
        )
        return answer.response

    return act


_HEADERS = ("x-batch-validation",)


def _same(row: str, method: str, path: str, summary: str, note: str = "") -> Operation:
    return Operation(row, method, path, _passed_on(method, path), summary, note)


def _render(refused: Refused) -> Reply:
    return Reply(problem_body(refused.problem, refused.request_id), refused.problem.status)


_CONTACT = "/v1/audiences/{id}/contacts/{email}"

DIALECT = Dialect(
    name="mailsflux",
    title="MailsFlux",
    home="https://api.mailsflux.net",
    first_look="/v1/domains",
    operations=(
        _same("M-01", "POST", "/v1/emails/send", "Send an email"),
        _same("M-04", "POST", "/v1/emails/batch", "Send up to 1,000 emails"),
        _same("M-02", "GET", "/v1/emails/{id}", "Look at an email and its events"),
        _same("M-03", "GET", "/v1/emails", "List emails"),
        _same(
            "M-05",
            "POST",
            "/v1/mail/send",
            "Send a letter, postcard or parcel",
            "422 `channel_not_configured` where the operator has nobody to carry it.",
        ),
        _same(
            "M-08",
            "POST",
            "/v1/mail/validate-address",
            "Check a postal address",
            "Its form only: `deliverability` is always `unknown`.",
        ),
        _same("M-06", "GET", "/v1/mail/{id}", "See where a letter is"),
        _same("M-07", "GET", "/v1/mail", "List letters"),
        _same("M-09", "GET", "/v1/templates", "List templates"),
        _same("M-10", "POST", "/v1/templates", "Make a template"),
        _same("M-11", "PUT", "/v1/templates/{id}", "Change a template"),
        _same("M-12", "DELETE", "/v1/templates/{id}", "Delete a template"),
        _same("M-13", "GET", "/v1/audiences", "List audiences"),
        _same("M-14", "POST", "/v1/audiences", "Make an audience"),
        _same("M-15", "POST", "/v1/audiences/{id}/contacts", "Add contacts to an audience"),
        Operation(
            "M-16",
            "DELETE",
            _CONTACT,
            _passed_on(
                "DELETE", "/v1/audiences/{id}/contacts/{contact}", renamed={"email": "contact"}
            ),
            "Take a contact out of an audience",
        ),
        _same("M-17", "GET", "/v1/suppressions", "List suppressed addresses"),
        _same("M-18", "POST", "/v1/suppressions", "Suppress an address"),
        _same("M-19", "DELETE", "/v1/suppressions/{email}", "Send to an address again"),
        _same("M-20", "GET", "/v1/webhooks", "List webhooks"),
        _same("M-21", "POST", "/v1/webhooks", "Make a webhook"),
        _same("M-22", "DELETE", "/v1/webhooks/{id}", "Delete a webhook"),
        _same("M-23", "GET", "/v1/domains", "List sender domains", "Those not verified too."),
        _same("M-24", "POST", "/v1/domains", "Add a sender domain"),
        _same("M-25", "GET", "/v1/domains/{id}/verify", "Look at the DNS now"),
        _same("M-26", "GET", "/v1/domains/{id}/reputation", "How well a domain's mail fares"),
    ),
    render_error=_render,
    root=None,
    notes=(
        "Ids begin with `em_` where the document's begin with `msg_`.",
        "Bodies and lists are those of the native API: the document does not give them.",
        "So fields that the native API does not have are refused by name.",
    ),
)
