"""The routes of emails and batches."""

from __future__ import annotations

from control_api import (
    batch_views,
    batches,
    deliveries,
    email_changes,
    email_content,
    email_views,
    emails,
    raw_emails,
)
from control_api.routes import Route

_SEND, _READ = "emails:send", "emails:read"
_EMAIL = "/v1/emails/{id}"

ROUTES: tuple[Route, ...] = (
    Route("POST", "/v1/emails", emails.send_email, _SEND, "Send an email"),
    Route("GET", "/v1/emails", email_views.list_emails, _READ, "List emails"),
    Route("POST", "/v1/emails/send", emails.send_email, _SEND, "Send an email"),
    Route("POST", "/v1/emails/raw", raw_emails.send_raw, _SEND, "Send a composed message"),
    Route("POST", "/v1/emails/batch", batches.send_batch, _SEND, "Send many emails"),
    Route("GET", _EMAIL, email_views.get_email, _READ, "Look at an email"),
    Route("PATCH", _EMAIL, email_changes.update_email, _SEND, "Change when it is sent"),
    Route("GET", f"{_EMAIL}/events", deliveries.list_events, _READ, "List its events"),
    Route("GET", f"{_EMAIL}/deliveries", deliveries.list_deliveries, _READ, "List its attempts"),
    Route("GET", f"{_EMAIL}/content", email_content.get_content, _READ, "Read what it says"),
    Route("GET", f"{_EMAIL}/raw", email_content.get_raw, _READ, "Get its bytes"),
    Route("POST", f"{_EMAIL}/cancel", email_changes.cancel_email, _SEND, "Cancel what is not sent"),
    Route("POST", f"{_EMAIL}/retry", email_changes.retry_email, _SEND, "Try failed recipients"),
    Route("GET", "/v1/batches/{id}", batch_views.get_batch, _READ, "Look at a batch"),
    Route("POST", "/v1/batches/{id}/cancel", batch_views.cancel_batch, _SEND, "Cancel a batch"),
)
