"""[channels] of mta.toml: what carries text messages and letters."""

from __future__ import annotations

from typing import Annotated, Literal

from config import units
from mta.core.frozen import frozen

Provider = Annotated[Literal["", "sandbox"], units.choice("", "sandbox")]


@frozen
class Channels:
    """[channels]: who carries what is not mail of ours; "" is nobody."""

    sms: Provider = ""
    mail: Provider = ""
