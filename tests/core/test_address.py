import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.core.address import (
    MAX_ADDRESS,
    MAX_LOCAL,
    Address,
    AddressError,
    parse_address,
    parse_mailbox,
    parse_path,
    to_ascii_domain,
)

ACCEPTED = [
    # text, wire, key, why it is in the table
    ("a@b.example", b"a@b.example", "a@b.example", "the plain case"),
    ("a+tag@b.example", b"a+tag@b.example", "a+tag@b.example", "a tag is part of the mailbox"),
    ("Jo@B.Example", b"Jo@b.example", "Jo@b.example", "only the domain is folded"),
    ("!#$%&'*+-/=?^_`{|}~@x.example", None, None, "all of atext"),
    ("|/bin/sh@x.example", None, None, "legal; no local part reaches a shell"),
    ("-oQ@x.example", None, None, "legal; no local part reaches a command line"),
    ("user%other.example@x.example", None, None, "percent hack: an ordinary local part"),
    ("other.example!user@x.example", None, None, "bang path: an ordinary local part"),
    ('"a b"@x.example', b'"a b"@x.example', "a b@x.example", "quoted space"),
    ('"a"@x.example', b'"a"@x.example', "a@x.example", "needless quotes: same key"),
    ('"\\a"@x.example', b'"\\a"@x.example', "a@x.example", "needless backslash: same key"),
    ('"a@b"@x.example', b'"a@b"@x.example', "a@b@x.example", "quoted at"),
    ('"a\\"b\\\\"@x.example', None, 'a"b\\@x.example', "quoted pairs"),
    ('".a..b."@x.example', None, ".a..b.@x.example", "dots need quotes at odd places"),
    ('"é"@x.example', '"é"@x.example'.encode(), "é@x.example", "UTF-8 in quotes"),
    ("é@x.example", "é@x.example".encode(), "é@x.example", "RFC 6531"),
    ("e\u0301@x.example", "e\u0301@x.example".encode(), "é@x.example", "key in NFC, wire as given"),
    ("a@faß.de", b"a@xn--fa-hia.de", "a@xn--fa-hia.de", "IDNA2008, not 2003's fass.de"),
    ("a@MÜNCHEN.de", b"a@xn--mnchen-3ya.de", "a@xn--mnchen-3ya.de", "mapped, then encoded"),
    ("a@xn--mnchen-3ya.de", None, "a@xn--mnchen-3ya.de", "an A-label is the same domain"),
    ("a@例え。jp", b"a@xn--r8jz45g.jp", None, "ideographic full stop"),
    ("a@localhost", None, None, "the one name with a single label"),
    ("a@[192.0.2.1]", None, None, "address literal"),
    ("a@[ipv6:2001:DB8:0::1]", b"a@[IPv6:2001:db8::1]", "a@[IPv6:2001:db8::1]", "one spelling"),
    ("a@r3---sn-x.example", None, None, "hyphens in the middle"),
    ("a@123.example", None, None, "a number is a label, though no top-level domain"),
    ("a" * MAX_LOCAL + "@x.example", None, None, "64 octets of local part"),
    ("a@" + ".".join(["b" * 63] * 3 + ["c" * 60]), None, None, "254 octets in all"),
]

REFUSED = [
    # text, a word of the message, why it is in the table
    ("", "no domain", "nothing"),
    ("@", "no domain", "nothing but the sign"),
    ("postmaster", "no domain", "missing domain"),
    ("a@", "no domain", "missing domain"),
    ("@x.example", "no local part", "missing local part"),
    ('""@x.example', "local part", "empty quoted string"),
    ("x\ry@z.example", "U+000D", "bare CR inside"),
    ("x\ny@z.example", "U+000A", "bare LF inside"),
    ("a@b.example\r\nRCPT TO:<c@d.example>", "U+000D", "command injection"),
    ("x@y.example\0z", "U+0000", "NUL"),
    ("a\tb@x.example", "U+0009", "tab"),
    ("a\x85b@x.example", "U+0085", "next line, a control of C1"),
    ("a(c)@b.example", "quoted", "comment"),
    ("a@b.example(c)", "two labels", "comment"),
    ("<c@d", "quoted", "unclosed bracket"),
    ("<c@d.example>", "quoted", "brackets belong to paths"),
    ("a b@x.example", "quoted", "space without quotes"),
    (" a@x.example", "quoted", "space before"),
    ("a@x.example ", "two labels", "space after"),
    ('"a b@x.example', "quoted", "unclosed quote"),
    ('"a"b"@x.example', "quoted", "quote inside"),
    ('"a"."b"@x.example', "quoted", "obsolete: parts quoted on their own"),
    ("@relay.example:a@b.example", "source routes", "source route"),
    (".a@x.example", "quoted", "leading dot"),
    ("a.@x.example", "quoted", "trailing dot"),
    ("a..b@x.example", "quoted", "two dots"),
    ("user@host.example NOTIFY=NEVER", "two labels", "parameter injection"),
    ("a@b.example> SIZE=1", "two labels", "parameter injection"),
    ("a@b.example, c@d.example", "quoted", "two addresses"),
    ("a@b@c.example", "quoted", "two signs"),
    ("a@b\u202e.example", "U+202E", "right-to-left override"),
    ("a\u200fb@x.example", "U+200F", "right-to-left mark"),
    ("a\u00adb@x.example", "U+00AD", "soft hyphen: invisible"),
    ("a\u00a0b@x.example", "U+00A0", "a space that looks like one"),
    ("a\u2028b@x.example", "U+2028", "line separator"),
    ("\udcff@x.example", "U+DCFF", "lone surrogate: not UTF-8 on the wire"),
    ("a@\udcff.example", "U+DCFF", "lone surrogate"),
    ("a@x", "two labels", "single label"),
    ("a@x.example.", "two labels", "trailing dot"),
    ("a@x..example", "two labels", "empty label"),
    ("a@-x.example", "two labels", "leading hyphen"),
    ("a@x-.example", "two labels", "trailing hyphen"),
    ("a@x_y.example", "two labels", "underscore"),
    ("a@192.0.2.1", "two labels", "IP without brackets"),
    ("a@x.123", "two labels", "all-numeric top-level domain"),
    ("a@" + "b" * 64 + ".example", "two labels", "label of 64"),
    ("a@[192.0.2.256]", "literal", "no IPv4 address"),
    ("a@[192.0.2.01]", "literal", "leading zero: octal to some"),
    ("a@[IPv6:1::2::3]", "literal", "no IPv6 address"),
    ("a@[IPv6:fe80::1%eth0]", "literal", "scope"),
    ("a@[2001:db8::1]", "literal", "IPv6 without its tag"),
    ("a@[x.example]", "literal", "a name in brackets"),
    ("a@[192.0.2.1", "literal", "unclosed literal"),
    ("a@i❤.example", "IDN", "not allowed by IDNA2008"),
    ("a@ｘ＠y.example", "IDN", "maps to a second sign"),
    ("a" * 65 + "@x.example", "local part is longer", "65 octets of local part"),
    ("é" * 33 + "@x.example", "local part is longer", "octets count, not characters"),
    ("a@" + ".".join(["b" * 63] * 3 + ["c" * 61]), "longer than 254", "255 octets in all"),
    ("é@" + ".".join(["b" * 63] * 3 + ["c" * 60]), "longer than 254", "octets count"),
]


@pytest.mark.parametrize(("text", "wire", "key", "reason"), ACCEPTED)
def test_accepted(text: str, wire: bytes | None, key: str | None, reason: str) -> None:
    address = parse_address(text)
    assert address.wire == (wire or text.encode()), reason
    assert address.key == (key or str(address)), reason
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(("text", "word", "reason"), REFUSED)
def test_refused(text: str, word: str, reason: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    message = str(caught.value)
    assert word in message, reason
    assert message.isascii()
    assert message.isprintable()


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    assert parse_address("é@x.example").needs_smtputf8
    assert not parse_address("a@münchen.de").needs_smtputf8


def test_path() -> None:
    assert parse_path("<a@b.example>") == Address("a", "b.example")
    assert parse_path('<">"@b.example>') == Address('">"', "b.example")
    assert parse_path("<>") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        ("a@b.example", "no brackets"),
        ("<a@b.example", "unclosed"),
        ("<", "half"),
        ("<>>", "one too many"),
        ("<a@b.example> SIZE=1", "parameters are not part of a path"),
        ("<@x.example:a@b.example>", "source route"),
        ("< a@b.example>", "space inside"),
        ("<postmaster>", "the server knows its own postmaster, a queue does not"),
    ],
)
def test_refused_path(text: str, reason: str) -> None:
    with pytest.raises(AddressError):
        parse_path(text)


@pytest.mark.parametrize(
    ("text", "name", "address"),
    [
        ("a@b.example", "", "a@b.example"),
        ("  a@b.example ", "", "a@b.example"),
        ("<a@b.example>", "", "a@b.example"),
        ("Jo Doe <a@b.example>", "Jo Doe", "a@b.example"),
        ("Jo Doe<a@b.example>", "Jo Doe", "a@b.example"),
        ('"Doe, Jo" <a@b.example>', "Doe, Jo", "a@b.example"),
        ('"Jo \\"J\\" \\\\" <a@b.example>', 'Jo "J" \\', "a@b.example"),
        ("info@x.example <a@b.example>", "info@x.example", "a@b.example"),
        ("Jörg 👩\u200d💻 <a@münchen.de>", "Jörg 👩\u200d💻", "a@xn--mnchen-3ya.de"),
    ],
)
def test_mailbox(text: str, name: str, address: str) -> None:
    assert parse_mailbox(text) == (name, parse_address(address))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a@b.example, c@d.example", "a list"),
        ("A <a@b.example>, C <c@d.example>", "a list"),
        ("a@b.example, C <c@d.example>", "a list: Jo must not be lost behind a name"),
        ("a@b.example; C <c@d.example>", "a list as some programs write it"),
        ("Doe, Jo <a@b.example>", "a name with a comma must be quoted"),
        ('"Jo <a@b.example>', "unclosed quote"),
        ('Jo "J" Doe <a@b.example>', "half quoted"),
        ("Jo <a@b.example", "unclosed bracket"),
        ("Jo <<a@b.example>>", "two brackets"),
        ("Jo <>", "no address"),
        ("Jo\r\nBcc: x@y.example <a@b.example>", "a header of its own"),
        ('"Jo\nBcc: x@y.example" <a@b.example>', "a header of its own"),
        ("Jo\x00 <a@b.example>", "NUL"),
        ("Jo\x0b <a@b.example>", "vertical tab: a line end to some"),
        ("Jo\x85 <a@b.example>", "next line"),
        ("Jo\u2028 <a@b.example>", "line separator"),
        ("Jo\udcff <a@b.example>", "lone surrogate"),
        ("x" * 1000 + " <a@b.example>", "longer than a header line"),
    ],
)
def test_refused_mailbox(text: str, reason: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_mailbox(text)
    assert str(caught.value).isprintable()


def test_domain() -> None:
    assert to_ascii_domain("Mail.Example") == "mail.example"
    assert to_ascii_domain("faß.de") == "xn--fa-hia.de"
    assert to_ascii_domain("LOCALHOST") == "localhost"
    for name in ("", "mail", "a b.example", "*.example", "[192.0.2.1]", "x.example\n", "é" * 500):
        with pytest.raises(AddressError):
            to_ascii_domain(name)


SHORT = st.text(max_size=40)
MAIL_LIKE = st.text(alphabet='aé.@"\\<>[]: ,(1-ßｘ\r\u202e\udcff', max_size=40)


@given(st.one_of(SHORT, MAIL_LIKE, st.tuples(SHORT, SHORT).map("@".join)))
def test_any_text_is_an_address_or_our_error(text: str) -> None:
    for parse in (parse_address, parse_path, lambda value: parse_mailbox(value)[1]):
        try:
            address = parse(text)
        except AddressError:
            continue
        if address is not None:
            assert parse_address(str(address)) == address
            assert len(address.wire) <= MAX_ADDRESS
            assert not set(address.wire) & set(b"\r\n\0")


@given(
    st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12),
    st.text(alphabet="abc-ßü例", min_size=1, max_size=8),
)
def test_spellings_of_one_mailbox_share_a_key(local: str, label: str) -> None:
    escaped = "".join(f"\\{c}" if c.isascii() else c for c in local)
    try:
        domain = to_ascii_domain(f"{label}.example")
        plain = parse_address(f"{local}@{label}.example")
    except AddressError:
        return
    assert plain.key == parse_address(f'"{escaped}"@{domain.upper()}').key


@pytest.mark.parametrize("piece", ["a", ".", '"', "\\", "@", "<", " ", "a.", "-", "é", "[", "\\\\"])
def test_repetition_takes_no_time(piece: str) -> None:
    for text in (piece * 120, piece * 1_000_000, f"a@{piece * 240}", f'"{piece * 990}'):
        for parse in (parse_address, parse_path, parse_mailbox, to_ascii_domain):
            with pytest.raises(AddressError):
                parse(text)
