"""Every setting is in mta.toml with its meaning, every command and option in docs/cli.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import click
import pytest

from config.settings import Settings
from mta.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = (ROOT / "mta.toml").read_text()
CLI = (ROOT / "docs" / "cli.md").read_text()


def settings_keys(value: Any, prefix: str = "") -> Iterator[str]:
    """Yield the full key of every setting: delivery.retry.first, ..."""
    for item in fields(value):
        inner = getattr(value, item.name)
        if is_dataclass(inner) and not hasattr(inner, "host"):
            yield from settings_keys(inner, f"{prefix}{item.name}.")
        elif not isinstance(inner, dict):
            yield prefix + item.name


def documented_keys() -> Iterator[tuple[str, str]]:
    """Yield (full key, the comment above it or above the line before it) from mta.toml."""
    table, comment = "", ""
    for line in EXAMPLE.splitlines():
        if found := re.fullmatch(r"\[([a-z.]+)\]", line):
            table, comment = found.group(1), ""
        elif line.startswith("#"):
            comment += line
        elif found := re.match(r"([a-z_]+) = ", line):
            yield f"{table}.{found.group(1)}", comment
        else:
            comment = ""


def commands(group: click.Group, prefix: str = "mta") -> Iterator[tuple[str, click.Command]]:
    """Yield (name in full, command) of everything that can be called."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{prefix} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{prefix} {name}")


COMMANDS = list(commands(cli))  # type: ignore[arg-type]


def section(name: str) -> str:
    """Return the text under a command's heading, up to the next one."""
    found = re.search(rf"^##+ {name}$(.*?)(?=^##|\Z)", CLI, re.DOTALL | re.MULTILINE)
    assert found, f"docs/cli.md has no heading for {name}"
    return found.group(1)


def test_every_setting_is_in_the_example_once() -> None:
    documented = [key for key, _ in documented_keys()]
    assert sorted(documented) == sorted(settings_keys(Settings()))


@pytest.mark.parametrize(("key", "comment"), list(documented_keys()))
def test_every_setting_says_what_it_means(key: str, comment: str) -> None:
    assert len(comment) > 20, f"{key} has no comment in mta.toml"


def test_the_routing_table_is_shown() -> None:
    assert '# "*" = "smtp://' in EXAMPLE


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_is_documented(name: str, command: click.Command) -> None:
    text = section(name)
    assert text.strip() or isinstance(command, click.Group), f"{name} has an empty section"
    for parameter in command.params:
        if not isinstance(parameter, click.Option) or parameter.hidden:
            continue
        assert any(f"{option}" in text for option in parameter.opts) or shared(name, parameter)


def shared(name: str, option: click.Option) -> bool:
    """Tell whether an option of a queue operation is explained with the first of them."""
    is_operation = name in {"mta queue hold", "mta queue release", "mta queue cancel"}
    return is_operation and option.opts[-1] in section("mta queue retry")


def test_no_command_is_documented_that_does_not_exist() -> None:
    headings = re.findall(r"^##+ (mta .*)$", CLI, re.MULTILINE)
    assert sorted(headings) == sorted(name for name, _ in COMMANDS)


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_option_has_a_help_text(name: str, command: click.Command) -> None:
    assert command.get_short_help_str(200), name
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{name} {parameter.name}"
