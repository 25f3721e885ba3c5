"""DKIM signatures, judged by verifiers that were written elsewhere: dkimpy and mailauth."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dkim
import pytest
from dkim.util import parse_tag_value

from mta.core.address import parse_address
from mta.core.canonical import body_hash
from mta.core.domain_records import Instance, WantedRecord, wanted_records
from mta.core.header import split_header
from mta.core.mime import Attachment, Draft, Mailbox, compose
from mta.dkim_keys import ED25519, RSA, create_keys
from mta.signing import LOOK_AGAIN, OVERSIGNED, SIGNED, Signer, SigningError, key_domain
from storage.domains import DkimKeyRecord, DomainRecord
from tests.support.mailauth import dkim_verdicts
from tests.support.tools import require_module

AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
DOMAIN = "example.com"
HEADER = (
    b"Received: from a.example by b.example\r\n\twith ESMTP; Sun, 01 Mar 2026 12:00:00 +0000\r\n"
    b"From: Ant <ant@example.com>\r\n"
    b"To: Bee <bee@there.example>\r\n"
    b"Subject: Lunch\r\n"
    b"Date: Sun, 01 Mar 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.com>\r\n"
)
BODY = b"Hello Bee,\r\n\r\nlunch?\r\n"


def message(fields: bytes = b"", body: bytes = BODY, header: bytes = HEADER) -> bytes:
    return header + fields + b"\r\n" + body


MESSAGES = {
    "plain": message(),
    "8-bit body": message(body="Grüße\r\n".encode() + bytes(range(128, 256)) + b"\r\n"),
    "empty body": message(body=b""),
    "blank lines only": message(body=b"\r\n" * 5),
    "trailing blank lines": message(body=BODY + b" \t\r\n" * 3 + b"\r\n" * 20),
    "white space": message(body=b" a \t b\t\r\n\tc  \r\n \r\nd" + b" " * 5000 + b"e\r\n"),
    "dots": message(body=b".\r\n..\r\n.a\r\n"),
    "5 MB": message(body=b"0123456789 abcdef  \r\n" * 250_000),
    "long folded fields": message(
        b"References:" + b"\r\n\t<12345678901234567890@example.com>" * 200 + b"\r\nX-Other: x\r\n"
    ),
    "odd white space in fields": message(
        header=b"From:   Ant\t <ant@example.com>  \r\nSubject:\r\n  a \r\n\t b\r\nTo:b\r\nCc:\r\n"
    ),
    "repeated fields": message(
        b"Reply-To: a@example.com\r\nReply-To: b@example.com\r\n"
        b"List-Unsubscribe: <https://example.com/1>\r\n"
        b"List-Unsubscribe: <https://example.com/2>\r\n"
    ),
    "names in any case": message(
        header=b"FROM: a@example.com\r\nsubject: b\r\ntO: c@b.example\r\n"
    ),
    "UTF-8 fields": message(header=HEADER.replace(b"Lunch", "Essen für Jürgen 🍜".encode())),
    "one-click": message(
        b"List-Unsubscribe: <https://example.com/u>\r\n"
        b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\nFeedback-ID: a:b:c\r\n"
    ),
    "composed by us": compose(
        Draft(
            from_=Mailbox("Zoë, Ltd.", parse_address("zoe@example.com")),
            to=(Mailbox("", parse_address("почта@there.example")),),
            cc=(),
            bcc=(),
            reply_to=(),
            subject="Grüße " * 30,
            text="Grüße\n",
            html="<p>" + "a b  " * 100,
            headers=(("List-Unsubscribe", "<https://example.com/u>"),),
            attachments=(Attachment("日本.bin", bytes(1000), ""),),
            message_id="<2@example.com>",
            date=AT,
        ),
        boundary_seed="seed",
    ),
    "signed before": message(
        header=b"DKIM-Signature: v=1; a=rsa-sha256; d=old.example; s=x; h=from; bh=; b=\r\n"
        + HEADER
    ),
}


@dataclass(frozen=True)
class Domain:
    """A domain with its keys and what it publishes."""

    data_dir: Path
    keys: tuple[DkimKeyRecord, ...]

    @property
    def records(self) -> tuple[WantedRecord, ...]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        record = DomainRecord("dom_1", 1, DOMAIN, now, None, None, self.keys)
        return wanted_records(record.facts, Instance("mta.test"))[: len(self.keys)]

    def path(self, algorithm: str) -> Path:
        [key] = [key for key in self.keys if key.algorithm == algorithm]
        return self.data_dir / key.key_file

    def sign(
        self, message: bytes, *algorithms: str, signer: Signer | None = None, at: datetime = AT
    ) -> bytes:
        """Return the message with our signatures on top."""
        header, body_at = split_header(message)
        signer = signer or Signer(self.data_dir, algorithms or (RSA, ED25519))
        signatures = signer.sign(
            header, body_hash(message[body_at:]), domain=DOMAIN, keys=self.keys, at=at
        )
        return signatures + message


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Domain:
    data_dir = tmp_path_factory.mktemp("data")
    return Domain(data_dir, create_keys(data_dir, DOMAIN, "s1", (RSA, ED25519), None))


@pytest.fixture
def own_domain(tmp_path: Path) -> Domain:
    """A domain whose key files a test may spoil."""
    return Domain(tmp_path, create_keys(tmp_path, DOMAIN, "s1", (RSA, ED25519), None))


def dkimpy_accepts(message: bytes, records: tuple[WantedRecord, ...], index: int = 0) -> bool:
    """Ask dkimpy about one of the signatures, counted from the top."""
    answers = {f"{record.name}.".encode(): record.value.encode() for record in records}

    def lookup(name: bytes, timeout: int = 5) -> bytes | None:
        return answers.get(name)

    try:
        return bool(dkim.DKIM(message).verify(index, dnsfunc=lookup))
    except dkim.ValidationError:
        return False


def tags(message: bytes) -> dict[bytes, bytes]:
    """Return the tags of the topmost signature."""
    header, _ = split_header(message)
    value = re.split(rb"\r\n(?![ \t])", header)[0].partition(b":")[2]
    return dict(parse_tag_value(value))


@pytest.mark.parametrize("name", MESSAGES)
def test_n01_dkimpy_accepts_rsa(domain: Domain, name: str) -> None:
    assert dkimpy_accepts(domain.sign(MESSAGES[name], RSA), domain.records)


@pytest.mark.parametrize("name", MESSAGES)
def test_n01_dkimpy_accepts_ed25519(domain: Domain, name: str) -> None:
    require_module("nacl")  # which dkimpy verifies Ed25519 with
    assert dkimpy_accepts(domain.sign(MESSAGES[name], ED25519), domain.records)


@pytest.mark.parametrize("name", MESSAGES)
def test_n01_mailauth_accepts_both(domain: Domain, tmp_path: Path, name: str) -> None:
    verdicts = dkim_verdicts(domain.sign(MESSAGES[name]), domain.records, tmp_path)
    assert [(verdict.algorithm, verdict.result) for verdict in verdicts[:2]] == [
        (RSA, "pass"),
        (ED25519, "pass"),
    ]


@pytest.mark.parametrize(
    "added",
    [
        b"From: Elk <elk@example.com>\r\n",
        b"Subject: You won\r\n",
        b"To: you@there.example\r\n",
        b"Cc: you@there.example\r\n",
        b"Date: Mon, 02 Mar 2026 12:00:00 +0000\r\n",
        b"Message-ID: <2@example.com>\r\n",
        b"Reply-To: elk@elsewhere.example\r\n",
    ],
)
@pytest.mark.parametrize("place", ["above", "below", "at the bottom"])
def test_n03_another_field_breaks_the_signature(domain: Domain, added: bytes, place: str) -> None:
    signed = domain.sign(MESSAGES["plain"], RSA)
    at = {
        "above": 0,
        "below": signed.index(b"From:"),
        "at the bottom": signed.index(b"\r\n\r\n") + 2,
    }
    forged = signed[: at[place]] + added + signed[at[place] :]
    assert dkimpy_accepts(signed, domain.records)
    assert not dkimpy_accepts(forged, domain.records)


def test_n03_mailauth_sees_another_field_too(domain: Domain, tmp_path: Path) -> None:
    forged = b"Subject: You won\r\n" + domain.sign(MESSAGES["plain"])
    verdicts = dkim_verdicts(forged, domain.records, tmp_path)
    assert [verdict.result for verdict in verdicts] == ["fail", "fail"]


def test_n03_more_body_breaks_the_signature(domain: Domain) -> None:
    signed = domain.sign(MESSAGES["plain"], RSA)
    assert b"l" not in tags(signed)
    assert not dkimpy_accepts(signed + b"and buy this\r\n", domain.records)


def test_the_tags_of_a_signature(domain: Domain) -> None:
    found = tags(domain.sign(MESSAGES["one-click"], RSA))
    names = found.pop(b"h").split()
    del found[b"b"]
    assert found == {
        b"v": b"1",
        b"a": b"rsa-sha256",
        b"c": b"relaxed/relaxed",
        b"d": b"example.com",
        b"s": b"s1",
        b"t": str(int(AT.timestamp())).encode(),
        b"bh": found[b"bh"],
    }
    assert [name.rstrip(b":") for name in names] == (
        b"from from reply-to subject subject date date message-id message-id to to cc"
        b" list-unsubscribe list-unsubscribe-post feedback-id"
    ).split()


def test_signed_fields_agree_with_dkimpy(domain: Domain) -> None:
    assert not {name.lower() for name in SIGNED} & set(dkim.DKIM.SHOULD_NOT)
    assert set(dkim.DKIM.FROZEN) <= OVERSIGNED <= set(SIGNED)
    assert len(set(SIGNED)) == len(SIGNED)


@pytest.mark.parametrize("name", MESSAGES)
def test_n07_lines_fold_between_names(domain: Domain, name: str) -> None:
    fields = domain.sign(MESSAGES[name])[: -len(MESSAGES[name])]
    lines = fields.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith((b"DKIM-Signature: ", b" ")) for line in lines)
    assert all(len(line) <= 76 for line in lines)
    [h] = re.findall(rb" h=([^;]*);", fields.partition(b"\r\nDKIM-Signature")[0])
    assert set(re.split(rb":\s+", h)) <= set(SIGNED)


def test_one_signature_for_each_enabled_algorithm(domain: Domain) -> None:
    assert tags(domain.sign(MESSAGES["plain"], ED25519))[b"a"] == ED25519.encode()
    assert domain.sign(MESSAGES["plain"]).count(b"DKIM-Signature:") == 2


def test_a_header_with_its_blank_line_signs_alike(domain: Domain) -> None:
    signer = Signer(domain.data_dir, (ED25519,))
    digest = body_hash(BODY)
    without, with_blank_line = (
        signer.sign(header, digest, domain=DOMAIN, keys=domain.keys, at=AT)
        for header in (HEADER, HEADER + b"\r\n")
    )
    assert without == with_blank_line


@pytest.mark.parametrize("header", [b"", b"Subject: no author\r\n", b"X-From: a@example.com\r\n"])
def test_a_message_without_an_author(domain: Domain, header: bytes) -> None:
    with pytest.raises(SigningError, match="no From field"):
        domain.sign(message(header=header))


def test_a_header_as_large_as_it_can_become(domain: Domain) -> None:
    fields = b"Received: from a.example by b.example\r\n" * 1100 + b"X-Pad: " + b"a \r\n " * 20_000
    assert dkimpy_accepts(domain.sign(message(fields + b"b\r\n"), RSA), domain.records)


def missing(path: Path) -> None:
    path.unlink()


def readable_by_group(path: Path) -> None:
    path.chmod(0o640)


def readable_by_others(path: Path) -> None:
    path.chmod(0o604)


def directory_instead(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def not_a_key(path: Path) -> None:
    path.write_bytes(b"gone\n")


def another_key(path: Path) -> None:
    create_keys(path.parent, "other.example", "x", (RSA,), None)
    path.write_bytes((path.parent / "keys/other.example/x.pem").read_bytes())


def another_type(path: Path) -> None:
    path.write_bytes(path.with_name("s1-ed25519.pem").read_bytes())


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (missing, "No such file"),
        (readable_by_group, "open to group or others"),
        (readable_by_others, "open to group or others"),
        (directory_instead, "directory"),
        (not_a_key, "not a private key"),
        (another_key, "not the rsa-sha256 key"),
        (another_type, "not the rsa-sha256 key"),
    ],
)
@pytest.mark.parametrize("is_loaded", [False, True], ids=["first use", "in use"])
def test_n05_n09_a_key_file_that_cannot_be_used(
    own_domain: Domain, spoil: Callable[[Path], None], reason: str, is_loaded: bool
) -> None:
    signer = Signer(own_domain.data_dir, (RSA, ED25519))
    if is_loaded:
        own_domain.sign(MESSAGES["plain"], signer=signer, at=AT - LOOK_AGAIN)
    spoil(own_domain.path(RSA))
    with pytest.raises(SigningError, match=reason):
        own_domain.sign(MESSAGES["plain"], signer=signer)


def test_n08_a_key_file_that_changed_is_read_again(own_domain: Domain) -> None:
    signer = Signer(own_domain.data_dir, (ED25519,))
    first = own_domain.sign(MESSAGES["plain"], signer=signer)
    path = own_domain.path(ED25519)
    pem = path.read_bytes()
    path.unlink()
    assert own_domain.sign(MESSAGES["plain"], signer=signer) == first  # looked at just now
    with pytest.raises(SigningError):
        own_domain.sign(MESSAGES["plain"], signer=signer, at=AT + LOOK_AGAIN)
    path.write_bytes(pem)
    path.chmod(0o600)
    later = own_domain.sign(MESSAGES["plain"], signer=signer, at=AT + LOOK_AGAIN)
    assert f"t={int((AT + LOOK_AGAIN).timestamp())}".encode() in later


@pytest.mark.parametrize("algorithms", [(), (ED25519,)])
def test_no_key_for_an_enabled_algorithm(domain: Domain, algorithms: tuple[str, ...]) -> None:
    signer = Signer(domain.data_dir, algorithms)
    keys = [key for key in domain.keys if key.algorithm == RSA]
    with pytest.raises(SigningError, match=r"example\.com has no key"):
        signer.sign(HEADER, body_hash(BODY), domain=DOMAIN, keys=keys, at=AT)


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("example.com", "example.com"),
        ("news.example.com", "example.com"),
        ("a.b.mail.example.com", "mail.example.com"),
        ("notexample.com", None),
        ("com", None),
        ("example.org", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_key_domain_is_the_closest(sender: str, expected: str | None) -> None:
    assert key_domain(sender, {"example.com", "mail.example.com", "com", "localhost"}) == expected
