"""SMTP sessions in any order against a model of what is legal. (G15)

The server is the real one, on loopback. The model keeps what an envelope may hold; whatever the
order of commands, errors and messages, the server takes exactly the messages that the model takes,
with exactly its envelopes.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mta.core.reply import Reply
from tests.support.smtp_dialogue import Dialogue, dialogue
from tests.support.smtp_handler import FAST, FakeHandler, listening, service

LENIENT = replace(FAST, errors=10_000, junk_commands=10_000, recipients=5)
SENDERS = ["a@sender.test", "", '"q q"@sender.test']
RECIPIENTS = ["b@rcpt.test", "c@rcpt.test", "no@rcpt.test", '"d e"@[192.0.2.1]']
NONSENSE = [b"WHAT", b"", b" MAIL FROM:<>", b"MAIL", b"RCPT TO", b"DATA now", b"\xff\xfe", b"N\0OP"]
BAD_MAIL = [
    "<a",
    "a@b.test",
    "<a@b.test> SIZE=x",
    "<@r.test:a@b.test>",
    "<a@b.test> FOO=1",
    "<a b@c>",
]
FATES = ["taken", "refused", "deferred", "long line", "smuggled"]
BAD_RCPT = ["<>", "<a", "<a@>", "<a@b.test> NOTIFY=SOMETIMES", "<a@b.test>x", "<a\u202e@b.test>"]


@dataclass
class Model:
    """What the server has to know of the session."""

    is_greeted: bool = False
    is_extended: bool = False
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    taken: list[tuple[str, list[str]]] = field(default_factory=list)

    def forget(self) -> None:
        self.sender, self.recipients = None, []


class Sessions(RuleBasedStateMachine):
    """One server; its connection is made anew when a session has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.handler = FakeHandler(refused="no@rcpt.test")
        self.model = Model()
        self.client: Dialogue

    @initialize()
    def connect(self) -> None:
        async def begin() -> int:
            return await self.stack.enter_async_context(listening(service(self.handler, LENIENT)))

        self.port = self.run(begin())
        self.reconnect()

    def reconnect(self) -> None:
        self.model = replace(Model(), taken=self.model.taken)
        self.client = self.run(self.stack.enter_async_context(dialogue(self.port, helo="")))

    def run(self, work: Any) -> Any:
        return self.runner.run(work)

    def ask(self, line: str | bytes) -> int:
        return int(self.run(self.client.ask(line))[:3])

    @rule(verb=st.sampled_from(["EHLO", "HELO", "ehlo"]))
    def greet(self, verb: str) -> None:
        assert self.ask(f"{verb} c.test") == 250
        self.model.is_greeted, self.model.is_extended = True, verb.upper() == "EHLO"
        self.model.forget()

    @rule(sender=st.sampled_from(SENDERS))
    def mail(self, sender: str) -> None:
        code = self.ask(f"MAIL FROM:<{sender}>")
        if not self.model.is_greeted or self.model.sender is not None:
            assert code == 503
        else:
            assert code == 250
            self.model.sender = sender

    @rule(argument=st.sampled_from(BAD_MAIL))
    def bad_mail(self, argument: str) -> None:
        is_in_order = self.model.is_greeted and self.model.sender is None
        code = self.ask(f"MAIL FROM:{argument}")
        assert code in {501, 555} if is_in_order else code == 503

    @rule(recipient=st.sampled_from(RECIPIENTS))
    def rcpt(self, recipient: str) -> None:
        code = self.ask(f"RCPT TO:<{recipient}>")
        if self.model.sender is None:
            assert code == 503
        elif len(self.model.recipients) >= LENIENT.recipients:
            assert code == 452
        elif recipient == "no@rcpt.test":
            assert code == 550
        else:
            assert code == 250
            self.model.recipients.append(recipient)

    @rule(argument=st.sampled_from(BAD_RCPT))
    def bad_rcpt(self, argument: str) -> None:
        code = self.ask(f"RCPT TO:{argument}")
        if self.model.sender is None:
            assert code in {503, 500}
        else:
            assert code in {501, 555, 500, 553, 452}

    @rule(verb=st.sampled_from(["NOOP", "VRFY x", "HELP", "EXPN y", "AUTH PLAIN", "STARTTLS"]))
    def aside(self, verb: str) -> None:
        code = self.ask(verb)
        assert code == {"NOOP": 250, "VRFY x": 252, "HELP": 214}.get(verb, 502)

    @rule(line=st.sampled_from(NONSENSE))
    def nonsense(self, line: bytes) -> None:
        code = self.ask(line)
        assert 500 <= code <= 503, (line, code)

    @rule()
    def rset(self) -> None:
        assert self.ask("RSET") == 250
        self.model.forget()

    @rule(fate=st.sampled_from(FATES))
    def data(self, fate: str) -> None:
        code = self.ask("DATA")
        if self.model.sender is None or not self.model.recipients:
            assert code == 503
            return
        assert code == 354
        envelope = (self.model.sender, self.model.recipients)
        self.model.forget()
        replies = {"refused": Reply(550, "5.7.1", "No"), "deferred": Reply(451, "4.3.0", "Later")}
        self.handler.data_reply = replies.get(fate, Reply(250, "2.0.0", "Ok"))
        count = len(self.handler.messages)
        bodies = {"long line": b"x" * 2000, "smuggled": b"x\n.\r\nMAIL FROM:<evil@x.test>"}
        code = self.ask(b"Subject: s\r\n\r\n" + bodies.get(fate, b"..body") + b"\r\n.")
        assert code == (250 if fate == "taken" else 451 if fate == "deferred" else 550)
        if fate == "taken":
            self.model.taken.append(envelope)
        else:
            del self.handler.envelopes[len(self.model.taken) :]
        assert (len(self.handler.messages) > count) == (fate not in bodies)
        if fate == "smuggled":
            self.reconnect()

    @rule(sender=st.sampled_from(SENDERS), recipient=st.sampled_from(RECIPIENTS))
    def begin(self, sender: str, recipient: str) -> None:
        """Get as far as a recipient, which single commands at random seldom do."""
        self.greet("EHLO")
        self.mail(sender)
        self.rcpt(recipient)

    @precondition(lambda self: self.model.recipients)
    @rule(fate=st.sampled_from(FATES))
    def finish(self, fate: str) -> None:
        self.data(fate)

    @precondition(lambda self: self.model.taken)
    @rule()
    def quit(self) -> None:
        assert self.ask("QUIT") == 221
        self.reconnect()

    def teardown(self) -> None:
        try:
            self.run(self.stack.aclose())
            assert self.envelopes() == self.model.taken
        finally:
            self.runner.close()

    def envelopes(self) -> list[tuple[str, list[str]]]:
        return [
            (
                str(envelope.mail_from) if envelope.mail_from else "",
                [str(recipient.address) for recipient in envelope.recipients],
            )
            for envelope in self.handler.envelopes
        ]


def test_g15_only_legal_moves() -> None:
    run_state_machine_as_test(
        Sessions, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
