"""Options that several commands share, and the types of their values."""

from __future__ import annotations

from datetime import timedelta

import click

from config.units import BadValueError, duration_or_zero

json_option = click.option("--json", "is_json", is_flag=True, help="Print JSON instead of text.")
"""What every command that shows something takes."""


class TimeSpan(click.ParamType[timedelta]):
    """A time span such as "1h"."""

    name = "time span"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Read the span."""
        try:
            return value if isinstance(value, timedelta) else duration_or_zero(value)
        except BadValueError as error:
            self.fail(str(error), param, ctx)


class Tag(click.ParamType[tuple[str, str]]):
    """A tag such as "campaign=spring"."""

    name = "tag"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Read name and value."""
        if isinstance(value, tuple):
            return value
        name, sign, text = str(value).partition("=")
        if not name or not sign:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        return name, text
