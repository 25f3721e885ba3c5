"""Handlebars, as templates of SendGrid are written in it, told in Liquid.

What it says is plain: values with dots, `#if`, `#unless`, `#each`, `else`, `this`, `../`, `@index`,
`@first`, `@last`, `@root`, comments. Helpers, partials and `{{{...}}}` (which leaves values
unescaped) are refused by name, because what they mean cannot be said in Liquid. Where Handlebars
prints nothing for a value that is missing, the Liquid does too.

Not here: reading Liquid, and filling it (mta/core/template.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TAG = re.compile(r"\{\{\{[^{}]{0,60}\}{0,3}|\{\{!--.*?(?:--\}\}|\Z)|\{\{.*?(?:\}\}|\Z)", re.DOTALL)
"""A tag. One without an end reaches to the end of the text, or each would be looked for in vain."""
_PATH = re.compile(r"((?:\.\./)*)(this|@?[A-Za-z_]\w*)((?:\.[A-Za-z_]\w*)*)", re.ASCII)
_LOOP = {"@index": "forloop.index0", "@first": "forloop.first", "@last": "forloop.last"}
_FALSY = ("", " != false", ' != ""', " != 0", " != empty")
"""What Handlebars takes for false, where Liquid takes only false and nothing."""


class HandlebarsError(Exception):
    """A template that cannot be told in Liquid; the message is for its author."""


def to_liquid(source: str) -> str:
    """Return the Liquid that says what Handlebars says.

    Raises:
        HandlebarsError: it says more than Liquid can, or blocks do not end where they should.
    """
    writer, end = _Writer(), 0
    for match in _TAG.finditer(source):
        writer.write_text(source[end : match.start()])
        writer.write_tag(match[0])
        end = match.end()
    writer.write_text(source[end:])
    return writer.finished()


@dataclass(slots=True)
class _Block:
    """An open block: its name, and what closes it."""

    name: str
    closing: str


@dataclass(slots=True)
class _Writer:
    """Writes Liquid piece by piece; `scopes` has the variable of each loop around."""

    pieces: list[str] = field(default_factory=list)
    blocks: list[_Block] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    loops: int = 0

    def write_text(self, text: str) -> None:
        self.pieces.append(text.replace("{%", "{{ '{%' }}"))

    def write_tag(self, tag: str) -> None:
        if tag.startswith("{{{"):
            raise HandlebarsError(f"{tag[:60]}: values are always escaped here; use two braces")
        if not tag.endswith("}}"):
            raise HandlebarsError(f"{tag[:60]}: the tag is not closed")
        inner = tag[2:-2].strip("~").strip()
        if inner.startswith("!"):
            return
        if inner.startswith(("&", ">")):
            raise HandlebarsError(f"{tag[:60]}: partials and unescaped values are not supported")
        if inner.startswith("#"):
            self._open(inner[1:].strip())
        elif inner.startswith("/"):
            self._close(inner[1:].strip())
        elif inner.split() in (["else"], ["^"]) or inner.split()[:2] == ["else", "if"]:
            self._otherwise(inner)
        else:
            self.pieces.append(f'{{{{ {self._value(inner)} | default: "" }}}}')

    def finished(self) -> str:
        if self.blocks:
            raise HandlebarsError(f"{{{{#{self.blocks[-1].name}}}}} is not closed")
        return "".join(self.pieces)

    def _open(self, inner: str) -> None:
        name, _, argument = inner.partition(" ")
        match name:
            case "if" | "unless":
                self.pieces.append(f"{{% {name} {self._condition(argument)} %}}")
                self.blocks.append(_Block(name, f"{{% end{name} %}}"))
            case "each":
                self._open_loop(argument)
            case _:
                raise HandlebarsError(f'the block helper "{name[:60]}" is not supported')

    def _open_loop(self, argument: str) -> None:
        self.loops += 1
        items, item = f"each_{self.loops}", f"item_{self.loops}"
        # A list that is missing is an empty one; in Liquid only a filter can say so.
        assignment = f'{{% assign {items} = {self._value(argument)} | default: "" %}}'
        self.pieces.append(f"{assignment}{{% for {item} in {items} %}}")
        self.blocks.append(_Block("each", "{% endfor %}"))
        self.scopes.append(item)

    def _otherwise(self, inner: str) -> None:
        if not self.blocks:
            raise HandlebarsError("{{else}} is in no block")
        block = self.blocks[-1]
        if block.name == "each" and self.scopes:
            self.scopes.pop()
            block.name = "each else"
        condition = inner.removeprefix("else").strip().removeprefix("if").strip()
        if not condition or inner == "^":
            self.pieces.append("{% else %}")
        elif block.name == "each else":
            raise HandlebarsError("{{else if}} belongs to {{#if}}")
        else:
            self.pieces.append(f"{{% elsif {self._condition(condition)} %}}")

    def _close(self, name: str) -> None:
        block = self.blocks.pop() if self.blocks else None
        if block is None or block.name.split()[0] != name:
            raise HandlebarsError(f"{{{{/{name[:60]}}}}} closes nothing")
        if block.name == "each":
            self.scopes.pop()
        self.pieces.append(block.closing)

    def _condition(self, argument: str) -> str:
        value = self._value(argument)
        return " and ".join(f"{value}{test}" for test in _FALSY)

    def _value(self, text: str) -> str:
        """Return a path of Handlebars as one of Liquid."""
        match = _PATH.fullmatch(text.strip())
        if match is None:
            name = (text.split() or ["{{}}"])[0]
            raise HandlebarsError(f'the helper or value "{name[:60]}" is not supported')
        ups, head, rest = match[1].count("../"), match[2], match[3]
        if head in _LOOP and self.scopes and not ups and not rest:
            return _LOOP[head]
        if head == "@root" and rest:
            return rest[1:]
        if head.startswith("@"):
            raise HandlebarsError(f'the value "{head[:60]}" is not supported')
        return self._inside(ups, head, rest)

    def _inside(self, ups: int, head: str, rest: str) -> str:
        """Return a path as seen from the loop that many levels up."""
        if ups > len(self.scopes):
            raise HandlebarsError("../ leads out of the template")
        scope = self.scopes[len(self.scopes) - ups - 1] if ups < len(self.scopes) else ""
        if head == "this":
            if not scope and not rest:
                raise HandlebarsError('"this" belongs into {{#each}}')
            return f"{scope}{rest}" if scope else rest[1:]
        return f"{scope}.{head}{rest}" if scope else f"{head}{rest}"
