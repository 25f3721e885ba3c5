"""[channels] of mta.toml: what carries text messages and letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from config import units

Provider = Annotated[Literal["", "sandbox"], units.choice("", "sandbox")]


@dataclass(frozen=True, slots=True)
class Channels:
    """[channels]: who carries what is not mail of ours; "" is nobody."""

    sms: Provider = ""
    mail: Provider = ""
