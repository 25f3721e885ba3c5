"""The rules that come with Mailwright, an operator's own, and what is wrong with a rule."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from config.bounce_rules import SHIPPED, load, parse, shipped
from config.loader import SettingsError
from mta.core.diagnostic import Diagnostic
from mta.core.phrases import normal_form


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("550 5.1.1 <a@b.test>: Recipient address rejected: User unknown", "bad_mailbox"),
        (
            "550 5.1.1 The email account that you tried to reach does not exist - gsmtp",
            "bad_mailbox",
        ),
        ("550 5.4.1 Recipient address rejected: Access denied. [x.outlook.com]", "bad_mailbox"),
        ("550 5.1.10 RESOLVER.ADR.RecipientNotFound; not found", "bad_mailbox"),
        ("550 sorry, no mailbox here by that name. (#5.7.17)", "bad_mailbox"),
        ("User ant (ant@b.test) not listed in Domino Directory", "bad_mailbox"),
        ("550 5.1.2 Host or domain name not found", "bad_domain"),
        ("556 5.1.10 Domain returned Null MX", "bad_domain"),
        ("Unrouteable address", "bad_domain"),
        (
            "550 5.2.1 The email account that you tried to reach is disabled - gsmtp",
            "inactive_mailbox",
        ),
        ("554 30 Sorry, this mailbox is disabled", "inactive_mailbox"),
        ("452 4.2.2 The recipient's inbox is out of storage space - gsmtp", "mailbox_full"),
        ("552 5.1.1 Boîte du destinataire pleine. OFR_417", "mailbox_full"),
        ("550 5.1.1 user over quota", "mailbox_full"),
        ("450 4.2.1 The user is receiving mail too quickly - gsmtp", "rate_limit"),
        ("421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred", "rate_limit"),
        (
            "421-4.7.27 rate limited because SPF 421 4.7.27 authentication didn't pass - gsmtp",
            "auth",
        ),
        ("421 4.7.29 rate limited: this wasn't sent over a TLS connection - gsmtp", "tls"),
        ("421 4.7.23 rate limited: the IP doesn't have a PTR record - gsmtp", "ip_reputation"),
        ("452 4.5.3 Too many recipients", "rate_limit"),
        ("450 4.2.0 Greylisted, see http://postgrey.example/", "greylist"),
        (
            "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using x.y",
            "ip_reputation",
        ),
        ("550 5.7.25 The sending IP does not have a PTR record - gsmtp", "ip_reputation"),
        ("550 5.7.606 Access denied, banned sending IP [192.0.2.1]", "ip_reputation"),
        ("550 5.7.26 Unauthenticated email is not accepted due to DMARC policy", "auth"),
        ("550 5.7.23 SPF validation failed", "auth"),
        ("554 5.7.1 Spam detected by content scanner", "spam_content"),
        ("550 5.6.0 message contains bare LF", "content_format"),
        ("552 5.3.4 Message size exceeds fixed limit", "too_large"),
        ("550 virus detected", "virus"),
        ("553 5.1.8 Domain of sender address does not exist", "sender_rejected"),
        ("550 5.7.1 Unable to relay", "relay_denied"),
        ("550 5.7.1 Mail is rejected by recipients", "filtered"),
        ("554 5.7.9 Message not accepted for policy reasons", "policy"),
        ("550 5.4.6 Too many hops", "network"),
        ("554 4.4.7 Message expired: unable to deliver in 840 minutes", "expired"),
        ("530 5.7.0 Must issue a STARTTLS command first", "tls"),
        ("451 4.3.0 queue file write error", "remote_error"),
        ("502 5.5.1 Command not implemented", "protocol"),
        ("550 Not delivering to previously bounced address", "suppressed"),
        ("250 whatever", "unknown"),
    ],
)
def test_what_the_shipped_rules_make_of_replies(reply: str, kind: str) -> None:
    assert shipped().judge(Diagnostic.read(reply)).bounce_class.value == kind


@pytest.mark.parametrize(
    "reply",
    [
        "550 5.7.1 Message blocked",
        "550 5.7.1 <a@b.test>: user unknown",
        "550 user unknown (in reply to end of DATA command)",
        "550 user unknown",
        "450 4.1.1 user unknown (in reply to RCPT TO command)",
        "550 5.7.1 blocked using zen.spamhaus.org",
        "550 5.7.26 DMARC: the sender's domain does not exist",
        "552 5.2.2 mailbox full",
        "550",
        "554 Transaction failed",
        "500 5.5.1 command not recognized",
        "554 5.6.0 an attachment has been removed",
        "451 mailbox is locked by another process",
        "550 Your account has been disabled",
        "550 5.1.0 <b@b.test>: Sender address rejected: User unknown in local recipient table",
        "550-Verification failed for <b@b.test> 550-No Such User Here 550 Sender verify failed",
        "550-Postmaster verification failed 550-Response: 550 <postmaster@b.test>: User unknown",
        "550 Callback setup failed while verifying <b@b.test>: no such user",
        "550 sender unknown",
        "550 5.7.1 SPF: 192.0.2.1 may not send for b.test, user unknown to its record",
        "554 5.7.1 Mailbox unavailable: message identified as spam",
        "550 5.7.1 Mailbox unavailable: your IP 192.0.2.1 is listed at zen.spamhaus.org",
        "550 too many unknown users from 192.0.2.1, you are blocked",
        "451 4.7.1 User unknown yet (greylisted), try again in 300 seconds",
        "550 5.7.1 relaying denied: user unknown at this gateway",
        "551 User not local; please try <a@c.test>",
        "550 <a@b.test>: Destinatario desconocido o mailbox lleno",
        "550 recipient does not have enough space",
        "550 message sending for this account is disabled",
        "550 5.7.10 recipient requires encrypted connection, mailbox not found over plain",
        "550 5.6.0 invalid recipient header: To field has no valid address",
        "556 remote check error",
        "550 Only members of this list may post; your address is not known",
        "550 cannot resolve your domain",
        "503 5.5.1 no valid recipients",
        "550 Mailbox not found or access denied",
        "554 5.7.1 message looks like a fake 'account disabled' notice (phishing)",
        "550 SPF: sender b@b.test is not a known user for b.test by its exists: mechanism",
        "550 5.7.1 This mailbox only accepts mail from known senders. Your address is unknown",
        "552 5.3.4 message too large; mailbox not available for messages over 10 MB",
        "554 5.7.1 Your IP sends to too many invalid recipients",
        "550 REJECTED - Sender Verify Failed: <b@b.test> does not seem to be a working account",
        "550 The account you send with does not exist on this relay",
        "550 The sending user has been disabled by the administrator",
        "550 host 192.0.2.1 does not exist in DNS",
    ],
)
def test_what_never_suppresses(reply: str) -> None:
    assert not shipped().judge(Diagnostic.read(reply)).is_hard


@pytest.mark.parametrize(
    ("reply", "kind", "is_hard"),
    [
        ("550 this alias is not defined nor known", "bad_mailbox", True),
        ("550 username not registered", "bad_mailbox", True),
        ("550 no such virtual user here", "bad_mailbox", True),
        ("550 local server don't exists that user", "bad_mailbox", True),
        ("550 Такого пользователя нет", "bad_mailbox", True),
        ("550 L'utente non esiste", "bad_mailbox", True),
        ("550 Le destinataire n'existe pas", "bad_mailbox", True),
        ("552 La boîte du destinataire est saturée", "mailbox_full", False),
        ("550 maildir has overdrawn his diskspace quota", "mailbox_full", False),
        ("452 El buzón del destinatario ha superado su cuota", "mailbox_full", False),
        ("450 Mailbox received too much email in a short time", "rate_limit", False),
        ("550 The sender 192.0.2.1 is banned", "ip_reputation", False),
        ("550 Ihre IP-Adresse steht auf einer Sperrliste", "ip_reputation", False),
        ("553 host denies the sender", "sender_rejected", False),
        ("553 host denies relay", "relay_denied", False),
        ("550 mail from b.test must be DKIM-signed", "auth", False),
        ("554 attachment is too long", "too_large", False),
        ("552 looping message", "network", False),
        ("550 5.1.1 we could not find that maildrop", "bad_mailbox", True),
        ("550 5.2.1 the maildrop is permanently discontinued", "inactive_mailbox", True),
        ("452 the maildrop is at capacity", "mailbox_full", False),
        ("550 Gebruiker bestaat niet", "bad_mailbox", True),
        ("552 Почтовый ящик переполнен", "mailbox_full", False),
        ("550 Uživatel neexistuje", "bad_mailbox", True),
        ("521 5.2.1 : (CON:B1) https://postmaster.aol.com/error-codes", "ip_reputation", False),
        ("550 the address in your From: is invalid: user not found", "unknown", False),
        ("501 5.5.4 Syntax error in RCPT TO: invalid address", "protocol", False),
        ("550 votre compte suspendu", "unknown", False),
        ("553 not in my list of allowed rcpthosts (#5.5.3)", "relay_denied", False),
        ("553 invalid mail address (in reply to MAIL FROM command)", "sender_rejected", False),
        ("451 4.7.1 Mail deferred due to antispam policy", "spam_content", False),
        ("550 there is no such maildrop (in reply to RCPT TO command)", "bad_mailbox", True),
        ("551 Main account unavailable", "unknown", False),
        ('552 Your "received:" header counts exceeds the maximum', "network", False),
        ("557 The length of DATA content is over the maximum threshold", "too_large", False),
        ("550 5.7.1 RDENY 192.0.2.1: The receiver denied your mail", "filtered", False),
        ("550 Access denied (sender blacklisted)", "sender_rejected", False),
        ("553 you use me as a relay, and I have not been configured to", "relay_denied", False),
        ("421 4.3.2 not accepting connections, load average 22", "remote_error", False),
        ("554 5.7.1 Il tuo indirizzo IP e' stato bloccato", "ip_reputation", False),
        ("421 4.7.0 Zu viele Verbindungen von Ihrer Adresse", "rate_limit", False),
        (
            "554 5.7.1 <b@b.test>: Sender address rejected: hourly quota of mails used up",
            "rate_limit",
            False,
        ),
    ],
)
def test_families_of_phrases(reply: str, kind: str, is_hard: bool) -> None:
    verdict = shipped().judge(Diagnostic.read(reply))
    assert (verdict.bounce_class.value, verdict.is_hard) == (kind, is_hard)


def test_a_word_list_makes_a_phrase_of_each_word() -> None:
    text = """
        [words]
        who = ["user", "mail box"]
        [[rule]]
        id = "gone"
        class = "bad_mailbox"
        match = ["{who} gone"]
    """
    rules = parse(text, "own.toml")
    for who in ("user", "mail-box"):
        assert rules.judge(Diagnostic.read(f"550 {who} gone")).rule == "gone"
    assert rules.judge(Diagnostic.read("550 who gone")).rule != "gone"


def test_a_word_list_that_is_wrong_is_named() -> None:
    rule = '[[rule]]\nid = "gone"\nclass = "policy"\nmatch = ["{who} {who} {who} gone"]\n'
    with pytest.raises(SettingsError, match=r"own.toml: gone: match: \{who\} is not in"):
        parse(rule, "own.toml")
    with pytest.raises(SettingsError, match=r"own.toml: words: who: must be a list"):
        parse(f'[words]\nwho = "user"\n{rule}', "own.toml")
    with pytest.raises(SettingsError, match=r"own.toml: words: must be a table"):
        parse(f"words = 1\n{rule}", "own.toml")
    many = ", ".join(f'"w{number}"' for number in range(30))
    rule = rule.replace('gone"]', '* gone"]')
    with pytest.raises(SettingsError, match=r"own.toml: gone: match: makes more than"):
        parse(f"[words]\nwho = [{many}]\n{rule}", "own.toml")


def test_every_rule_says_where_it_comes_from() -> None:
    lines = SHIPPED.read_text("utf-8").split("\n")
    heads = [number for number, line in enumerate(lines) if line == "[[rule]]"]
    assert len(heads) == len(shipped().rules)
    bare = [lines[number + 1] for number in heads if not lines[number - 1].startswith("# ")]
    assert not bare
    assert max(map(len, lines)) <= 100


def test_a_short_gap_beside_word_lists() -> None:
    text = """
        [words]
        who = ["user", "mail box"]
        gone = ["has gone", "left"]
        [[rule]]
        id = "gone"
        class = "bad_mailbox"
        match = ["our {who} ~ {gone} today"]
    """
    rules = parse(text, "own.toml")
    for said in ("our user left today", "our mail box as one says has gone today"):
        assert rules.judge(Diagnostic.read(f"550 {said}")).rule == "gone"
    for said in ("our user of all the others left today", "left today"):
        assert rules.judge(Diagnostic.read(f"550 {said}")).rule != "gone"


def test_every_provider_of_a_rule_is_there() -> None:
    known = {provider.id for provider in shipped().providers}
    assert {rule.provider for rule in shipped().rules} - {""} <= known


def test_every_phrase_is_found_in_a_text_of_its_own_words() -> None:
    for rule in shipped().rules:
        for phrase in rule.phrases:
            assert phrase.is_in(normal_form(" ".join(phrase.pieces)))


def test_no_rule_is_slow_on_a_long_text() -> None:
    """Each phrase against a megabyte made of its own words, over and over."""
    started = time.process_time()
    for rule in shipped().rules:
        for phrase in rule.phrases[::7]:
            words = "".join(phrase.pieces[:1])
            assert isinstance(phrase.is_in(words * (200_000 // len(words))), bool)
    assert time.process_time() - started < 5


def test_ten_thousand_replies_take_about_a_second() -> None:
    reply = "550 5.7.1 Message from <a@b.test> refused: {} see https://x.test/help for details"
    replies = [reply.format(number) for number in range(10_000)]
    started = time.process_time()
    for text in replies:
        shipped().judge(Diagnostic.read(text))
    assert time.process_time() - started < 5, "half of it on the slowest machine that we know"


OWN = """
[[rule]]
id = "house"
class = "policy"
match = ["user unknown"]
code = [550]
status = ["x.1.1"]
command = ["rcpt"]
"""


def test_own_rules_go_first_and_take_the_place_of_ours(tmp_path: Path) -> None:
    own = tmp_path / "rules.toml"
    own.write_text(OWN)
    text = "550 5.1.1 user unknown (in reply to RCPT TO command)"
    verdict = load(own).judge(Diagnostic.read(text))
    assert (verdict.rule, verdict.bounce_class.value) == ("house", "policy")
    own.write_text('[[rule]]\nid = "virus"\nclass = "policy"\nmatch = ["zzz"]\n')
    assert load(own).judge(Diagnostic.read("550 virus found")).rule != "virus"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "x: unknown; known are provider, rule"),
        ("rule = 1", "rule: must be tables, each written [[rule]]"),
        ("[[rule]]", "a rule without id: id: must be text"),
        ('[[rule]]\nid = "A b"', "A b: id: 'A b' is no id"),
        ('[[rule]]\nid = "a"', "a: class: must be text"),
        ('[[rule]]\nid = "a"\nclass = "b"', "a: class: 'b' is not a valid BounceClass"),
        ('[[rule]]\nid = "a"\nclass = "auth"', "a: match: a rule needs"),
        ('[[rule]]\nid = "a"\nclass = "auth"\nmatch = "x"', "a: match: must be a list"),
        ('[[rule]]\nid = "a"\nclass = "auth"\nmatch = ["*"]', "a: match: '*' has no word"),
        ('[[rule]]\nid = "a"\nclass = "auth"\ncode = [200]', "a: code: must be a list of reply"),
        ('[[rule]]\nid = "a"\nclass = "auth"\nstatus = ["5.1"]', "a: status: '5.1' is no"),
        ('[[rule]]\nid = "a"\nclass = "auth"\nmatch = ["x"]\nhard = 1', "a: hard: must be true"),
        ('[[rule]]\nid = "a"\nclass = "auth"\nmatch = ["x"]\ny = 1', "a: y: unknown key"),
        ('[[rule]]\nid = "a"\nclass = "auth"\ncode = [550]\n' * 2, "rule a: there are two rules"),
        ('[[provider]]\nid = "a"\nmatch = []', "a: match: unknown key"),
        ("[[rule", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as error:
        parse(text, "own.toml")
    assert str(error.value).startswith("own.toml: ")
    assert problem in str(error.value)
