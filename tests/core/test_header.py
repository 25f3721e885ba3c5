from datetime import UTC, datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.header import (
    MAX_HEADER_FIELDS,
    MAX_HEADER_SIZE,
    MAX_SUBJECT,
    Field,
    HeaderBlock,
    HeaderError,
    Stamp,
    facts,
    outgoing_header,
    received_field,
    rfc5322_date,
    split_header,
)

AT = datetime(2030, 1, 1, 9, 30, tzinfo=UTC)
BLOCK = HeaderBlock.parse(
    b"Received: from a\r\n\tby b\r\n"
    b"FROM : Jo <jo@x.example>\r\n"
    b"X-Odd:  kept \t as it is \r\n"
    b"Received: from c\r\n"
    b"Subject: one\r\n two\r\n\tthree\r\n"
)


def facts_of(*lines: bytes) -> object:
    return facts(HeaderBlock.parse(b"".join(line + b"\r\n" for line in lines)))


def test_fields_keep_their_bytes() -> None:
    assert [field.name for field in BLOCK.fields] == [
        b"Received",
        b"FROM",
        b"X-Odd",
        b"Received",
        b"Subject",
    ]
    assert BLOCK.fields[2].raw == b"X-Odd:  kept \t as it is \r\n"
    assert BLOCK.fields[2].value == b"kept \t as it is"
    assert BLOCK.fields[1].lower == b"from"


def test_lookup_is_by_name_in_any_case() -> None:
    assert BLOCK.get(b"subject") == b"one two\tthree"
    assert BLOCK.get(b"From") == b"Jo <jo@x.example>"
    assert BLOCK.get(b"received") == b"from a\tby b"
    assert BLOCK.get(b"Date") is None
    assert [field.value for field in BLOCK.all(b"RECEIVED")] == [b"from a\tby b", b"from c"]


def test_changes_make_a_new_block() -> None:
    assert [f.name for f in BLOCK.without(b"received", b"x-ODD").fields] == [b"FROM", b"Subject"]
    assert BLOCK.prepended(b"A: 1\r\nB: 2\r\n").to_bytes().startswith(b"A: 1\r\nB: 2\r\nReceived:")
    assert BLOCK.appended(b"A: 1\r\n 2\r\n").to_bytes().endswith(b"three\r\nA: 1\r\n 2\r\n")
    for raw in (b"A: 1", b"A: 1\r\n\r\n", b" 1\r\n", b"A\r\n", b"A: 1\nB: 2\r\n"):
        with pytest.raises(HeaderError):
            BLOCK.prepended(raw)
        with pytest.raises(HeaderError):
            BLOCK.appended(raw)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"A: 1", "no line end"),
        (b"A: 1\n", "bare LF"),
        (b"A: 1\rB: 2\r\n", "bare CR"),
        (b"A: 1\r\n\r\n", "the blank line is not part of it"),
        (b" A: 1\r\n", "nothing to continue"),
        (b": 1\r\n", "no name"),
        (b"A 1\r\n", "no colon"),
        (b"A B: 1\r\n", "space in a name"),
        (b"\xc3\xa9: 1\r\n", "name beyond ASCII"),
        (b"From jo@x.example Tue Jan  1 09:30:00 2030\r\nA: 1\r\n", "mbox separator"),
        (b"A: 1\r\nHello, there is no blank line\r\n", "body without a blank line"),
        (b"A: 1\0\r\n", "NUL"),
        (b"A: " + b"x" * MAX_HEADER_SIZE + b"\r\n", "too large"),
        (b"A:\r\n" * (MAX_HEADER_FIELDS + 1), "too many"),
    ],
)
def test_malformed(data: bytes, reason: str) -> None:
    with pytest.raises(HeaderError) as caught:
        HeaderBlock.parse(data)
    assert str(caught.value).isprintable(), reason


def test_limits_are_inclusive() -> None:
    assert len(HeaderBlock.parse(b"A:\r\n" * MAX_HEADER_FIELDS).fields) == MAX_HEADER_FIELDS
    HeaderBlock.parse(b"A: " + b"x" * (MAX_HEADER_SIZE - 5) + b"\r\n")


def test_error_names_the_line() -> None:
    with pytest.raises(HeaderError, match="line 4"):
        HeaderBlock.parse(b"A: 1\r\nB: 2\r\n 3\r\nfour\r\n")


@pytest.mark.parametrize(
    ("data", "header", "offset"),
    [
        (b"", b"", 0),
        (b"\r\n", b"", 2),
        (b"\r\nbody\r\n", b"", 2),
        (b"A: 1\r\n\r\nbody\r\n\r\nmore\r\n", b"A: 1\r\n", 8),
        (b"A: 1\r\n\r\n", b"A: 1\r\n", 8),
        (b"A: 1\r\nB: 2\r\n", b"A: 1\r\nB: 2\r\n", 12),
    ],
)
def test_split(data: bytes, header: bytes, offset: int) -> None:
    assert split_header(data) == (header, offset)


def test_field_of() -> None:
    assert Field.of(b"A", b"1\r\n 2") == Field(b"A", b"A: 1\r\n 2\r\n")
    for name, value in (
        (b"A", b"1\r\nBcc: x"),
        (b"A", b"1\n"),
        (b"A", b"1\0"),
        (b"A: 1\r\nBcc", b"x"),
        (b"A ", b"1"),
        (b"A:", b"1"),
        (b"", b"1"),
    ):
        with pytest.raises(HeaderError):
            Field.of(name, value)


def test_facts() -> None:
    found = facts_of(
        b"From: =?utf-8?q?J=C3=B6?= <jo@X.example>",
        b"To: a@b.example, =?utf-8?b?w6k=?= <c@d.example>",
        b"To: e@f.example",
        b"Subject: =?iso-8859-1?q?caf=E9?= now",
        b"Message-ID: <1@x.example>",
    )
    assert found == facts_of(
        b"Message-ID:\t<1@x.example> ",
        b"subject: =?iso-8859-1?q?caf=E9?=\r\n now",
        b"from: jo@X.example",
        b"TO: a@b.example,\r\n =?utf-8?b?w6k=?= <c@d.example>, e@f.example",
    )
    assert found.from_address == "jo@X.example"
    assert found.sender_domain == "x.example"
    assert found.subject == "café now"
    assert found.message_id == "<1@x.example>"
    assert found.to == ("a@b.example", "é <c@d.example>", "e@f.example")
    assert not found.has_8bit_header


def test_recipients_for_display_are_bounded() -> None:
    assert len(facts_of(*[b"To: " + b"a@b.example," * 30] * 5).to) == 100


def test_facts_of_an_empty_header() -> None:
    found = facts_of()
    assert (found.from_address, found.sender_domain, found.subject) == ("", "", "")
    assert (found.message_id, found.to, found.has_8bit_header) == ("", (), False)


def test_8bit_header_and_long_subject() -> None:
    found = facts_of(b"Subject: " + "é".encode() * 600)
    assert found.has_8bit_header
    assert found.subject == "é" * MAX_SUBJECT


@pytest.mark.parametrize(
    ("value", "domain", "reason"),
    [
        (b"jo@x.example", "x.example", "bare"),
        (b"jo@M\xc3\xbcnchen.de", "xn--mnchen-3ya.de", "A-label"),
        (b'"ceo@bank.example" <jo@x.example>', "x.example", "an address as a name is a name"),
        (b"ceo@bank.example <jo@x.example>", "x.example", "the same without quotes"),
        (b"=?utf-8?q?ceo=40bank.example?= <jo@x.example>", "x.example", "the same encoded"),
        (b"=?utf-8?q?ceo=40bank.example?=", "", "an encoded word is never an address"),
        (b"jo@x.example (ceo@bank.example)", "x.example", "a comment"),
        (b"(a (b) ceo@bank.example, ) jo@x.example", "x.example", "a nested comment in front"),
        (b"Doe, Jo <jo@x.example>", "x.example", "an unquoted comma in a name"),
        (b"Team: jo@x.example, al@x.example;", "x.example", "a group, all of one domain"),
        (b"<jo@x.example> <ceo@bank.example>", "", "two angle addresses in one mailbox"),
        (b"jo@x.example ceo@bank.example", "", "no address"),
        (b"jo@", "", "no domain"),
        (b"undisclosed:;", "", "an empty group"),
        (b"", "", "an empty field"),
    ],
)
def test_sender_domain(value: bytes, domain: str, reason: str) -> None:
    assert facts_of(b"From: " + value).sender_domain == domain, reason


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([b"From: jo@x.example", b"From: jo@x.example"], "two From fields"),
        ([b"From: jo@x.example, ceo@bank.example"], "two domains"),
        ([b"From: jo@x.example, ceo@bank.example."], "a domain that only we find invalid"),
        ([b"From: jo@x.example, <a@x.example> <ceo@bank.example>"], "of two minds"),
        ([b"From: " + b"jo@x.example," * 1500], "too long to read to its end"),
        ([b"From: " + b"jo@x.example," * 150 + b"ceo@bank.example"], "beyond a hundred"),
    ],
)
def test_ambiguous_sender(lines: list[bytes], reason: str) -> None:
    with pytest.raises(HeaderError, match="From"):
        facts_of(*lines)


STAMP = Stamp(
    received=b"Received: by mx.example;\r\n\tTue, 01 Jan 2030 09:30:00 +0000\r\n",
    date=b"Tue, 01 Jan 2030 09:30:00 +0000",
    message_id=b"<em_1@x.example>",
)


def test_outgoing_header() -> None:
    block = HeaderBlock.parse(
        b"Return-Path: <a@b.example>\r\nbcc: s@x.example,\r\n t@x.example\r\nX-Odd :  a \r\n b\r\n"
        b"x-mta-tag: t\r\nResent-Bcc: u@x.example\r\nFrom: \xc3\xa9@x.example\r\n"
    )
    assert outgoing_header(block, stamp=STAMP) == (
        STAMP.received + b"X-Odd :  a \r\n b\r\nFrom: \xc3\xa9@x.example\r\n"
        b"Date: Tue, 01 Jan 2030 09:30:00 +0000\r\nMessage-ID: <em_1@x.example>\r\n\r\n"
    )


def test_outgoing_header_keeps_date_and_message_id() -> None:
    block = HeaderBlock.parse(b"DATE: yesterday\r\nMessage-id:\r\n")
    assert outgoing_header(block, stamp=STAMP) == STAMP.received + block.to_bytes() + b"\r\n"


@pytest.mark.parametrize(
    "stamp",
    [
        Stamp(b"Received: x", STAMP.date, STAMP.message_id),
        Stamp(STAMP.received, b"now\r\nBcc: x@y.example", STAMP.message_id),
        Stamp(STAMP.received, STAMP.date, b"<a@b>\r\n\r\nbody"),
    ],
)
def test_a_stamp_cannot_smuggle(stamp: Stamp) -> None:
    with pytest.raises(HeaderError):
        outgoing_header(HeaderBlock(()), stamp=stamp)


def received(**changes: str) -> bytes:
    clauses = {
        "helo": "client.example",
        "peer": "192.0.2.1",
        "hostname": "mx.example",
        "protocol": "ESMTPSA",
        "identifier": "em_1",
        "tenant": "acme",
    }
    return received_field(at=AT, **(clauses | changes))


def test_received() -> None:
    assert received(tls="TLSv1.3 TLS_AES_256_GCM_SHA384") == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b"\t(TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby mx.example (Mailwright) with ESMTPSA\r\n"
        b"\tid em_1 (tenant acme);\r\n"
        b"\tTue, 01 Jan 2030 09:30:00 +0000\r\n"
    )
    assert received(helo="", tenant="", protocol="HTTP") == (
        b"Received: by mx.example (Mailwright) with HTTP\r\n"
        b"\tid em_1;\r\n"
        b"\tTue, 01 Jan 2030 09:30:00 +0000\r\n"
    )
    assert b"from [192.0.2.1]\r\n" in received(helo="[192.0.2.1]", peer="")
    assert b"([IPv6:2001:db8::1])" in received(peer="2001:DB8:0::1")
    with pytest.raises(ValueError):
        received(peer="client.example")


@given(
    st.sampled_from(["helo", "hostname", "protocol", "identifier", "tenant", "tls"]),
    st.one_of(st.text(), st.text(alphabet='\r\n\0 ();\\:"é\udcffa')),
)
def test_nothing_breaks_out_of_received(name: str, value: str) -> None:
    field = received(**{name: value})
    assert len(HeaderBlock.parse(field).fields) == 1
    assert field.isascii()
    assert field.count(b"(") == field.count(b")")
    assert field.count(b";") == 1 or name in {"tenant", "tls"}
    assert all(len(line) < 998 for line in field.split(b"\r\n"))


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (AT, "Tue, 01 Jan 2030 09:30:00 +0000"),
        (AT.astimezone(timezone(timedelta(hours=-10))), "Tue, 01 Jan 2030 09:30:00 +0000"),
        (datetime(2028, 2, 29, 23, 59, 59, 999_999, UTC), "Tue, 29 Feb 2028 23:59:59 +0000"),
    ],
)
def test_date(at: datetime, text: str) -> None:
    assert rfc5322_date(at) == text


@given(st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_date_reads_back(at: datetime) -> None:
    assert parsedate_to_datetime(rfc5322_date(at)) == at.replace(microsecond=0)


HEADER_LIKE = st.lists(
    st.sampled_from(
        [
            b"A",
            b"From",
            b":",
            b" ",
            b"\t",
            b"\r\n",
            b"\r",
            b"\n",
            b"\x00",
            b"\xc3",
            b"x@y.example",
            b"<",
            b">",
            b'"',
            b"(",
            b")",
            b",",
            b";",
            b"=?utf-8?q?",
            b"?=",
            b"From: ",
            b"To: ",
        ]
    ),
    max_size=20,
).map(b"".join)


@given(st.one_of(st.binary(max_size=60), HEADER_LIKE))
def test_any_bytes_are_a_header_or_our_error(data: bytes) -> None:
    header, offset = split_header(data)
    assert data.startswith(header)
    assert 0 <= offset <= len(data)
    try:
        block = HeaderBlock.parse(header)
        assert block.to_bytes() == header
        facts(block)
        again = outgoing_header(block, stamp=STAMP)
    except HeaderError:
        return
    assert HeaderBlock.parse(split_header(again)[0]).to_bytes() + b"\r\n" == again


@pytest.mark.parametrize(
    "piece",
    [
        b" ",
        b"x",
        b":",
        b"\r\n ",
        b"x ",
        b"A:\r\n",
        b"(",
        b'"',
        b"<",
        b"\\",
        b"=?",
        b"=?utf-8?q?a?=",
        b"=?utf-8?b?YQ==?= ",
        b",",
        b"a@b,",
        b"[",
        b"\t\t\r\n ",
    ],
)
def test_repetition_is_linear(piece: bytes) -> None:
    for name in (b"From: ", b"Subject: ", b"To: ", b""):
        for size in (16_000, MAX_HEADER_SIZE - 20, 5_000_000):
            data = name + piece * (size // len(piece)) + b"\r\n"
            try:
                outgoing_header(HeaderBlock.parse(data), stamp=STAMP)
                facts(HeaderBlock.parse(data))
            except HeaderError:
                continue
