"""What looks like the end of a message, or commands behind it, in bodies of the API. (H02)"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

from tests.support.engine import configuration, running
from tests.support.receiver import Receiver

ENDS = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\n.\r",
    "\r\n.\r\n",
    "\r\n..\r\n",
]
EVIL = "MAIL FROM:<evil@x.test>\r\nRCPT TO:<bee@dest.test>\r\nDATA\r\nSubject: evil\r\n\r\n"
HEADER = "From: ant@sender.test\r\nTo: bee@dest.test\r\nSubject: s\r\n\r\n"
VERBS = {"EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"}


async def test_h02_nothing_in_a_body_ends_it(tmp_path: Path) -> None:
    async with Receiver() as receiver:
        config = configuration(routing={"*": f"smtp://127.0.0.1:{receiver.port}"})
        async with running(tmp_path, config) as engine:
            sent = 0
            for end in ENDS:
                text = f"before{end}{EVIL}after"
                fields = {"from": "ant@sender.test", "to": "bee@dest.test", "subject": "s"}
                answer = await engine.call("POST", "/v1/emails", fields | {"text": text})
                assert answer.status == 200, answer
                raw = b64encode((HEADER + text).encode()).decode()
                answer = await engine.call("POST", "/v1/emails/raw", {"raw": raw})
                has_bare_cr = "\r" in end.replace("\r\n", "")
                assert answer.status == (422 if has_bare_cr else 200), answer
                sent += 1 + (not has_bare_cr)
            messages = await receiver.wait_for(sent)
            assert await engine.stop() == 0
        assert len(receiver.messages) == sent
        assert not [command for command in receiver.commands if "evil" in command]
        assert {command[:4] for command in receiver.commands} <= VERBS
        for message in messages:
            bare = message.data.replace(b"\r\n", b"")
            assert b"\r" not in bare
            assert b"\n" not in bare
            assert message.mail_from.endswith("sender.test")
