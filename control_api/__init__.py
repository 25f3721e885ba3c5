"""The control API: HTTP in (API, health), HTTP out (webhooks). Meets the engine in storage only."""
