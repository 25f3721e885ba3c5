"""Mails that come back, in the manner of many mail systems; all of them made up."""

from __future__ import annotations

DAEMON = "From: Mail Delivery System <MAILER-DAEMON@mx.relay.test>\nTo: list@sender.test\n"


def notice(text: str, *, subject: str = "Undelivered Mail", header: str = DAEMON) -> bytes:
    """Return a notice of plain text."""
    return f"{header}Subject: {subject}\n\n{text}".encode()


def dsn(*groups: str, text: str = "See below.", subject: str = "Delivery Status") -> bytes:
    """Return a delivery status notification (RFC 3464) with the given recipient groups."""
    status = "\n\n".join(("Reporting-MTA: dns; mx.relay.test", *groups))
    return (
        f"{DAEMON}Subject: {subject}\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b=1"\n\n'
        f"--b=1\nContent-Type: text/plain\n\n{text}\n"
        f"--b=1\nContent-Type: message/delivery-status\n\n{status}\n"
        "--b=1\nContent-Type: message/rfc822\n\n"
        "From: list@sender.test\nTo: ant@there.test\nMessage-ID: <1@sender.test>\n\nhello\n"
        "--b=1--\n"
    ).encode()


def feedback(machine: str, original: str, *, subject: str = "Report") -> bytes:
    """Return a feedback report (RFC 5965)."""
    return (
        f"From: fbl@there.test\nTo: abuse@sender.test\nSubject: {subject}\n"
        "Content-Type: multipart/report; report-type=feedback-report; boundary=b\n\n"
        "--b\nContent-Type: text/plain\n\nA report.\n"
        f"--b\nContent-Type: message/feedback-report\n\n{machine}\n"
        f"--b\nContent-Type: message/rfc822\n\n{original}\n\nhello\n--b--\n"
    ).encode()


POSTFIX = """This is the mail system at host mx.relay.test.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

<ant@there.test>: host mx.there.test[192.0.2.1] said: 550 5.1.1
    <ant@there.test>: Recipient address rejected: User unknown in virtual
    mailbox table (in reply to RCPT TO command)
"""

EXIM = """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ant@there.test
    host mx.there.test [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ant@there.test>:
    552 5.2.2 The mailbox is over its quota
  bee@there.test
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

From: list@sender.test
To: elk@there.test
"""

EXIM_WARNING = """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.relay.test.

The address to which the message has not yet been delivered is:

  ant@there.test
    host mx.there.test [192.0.2.1]: 451 4.7.1 Greylisting in action, please come back later

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals.
"""

QMAIL = """Hi. This is the qmail-send program at mx.relay.test.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ant@there.test>:
192.0.2.1 does not like recipient.
Remote host said: 550 no such user
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

Return-Path: <list@sender.test>
To: <elk@there.test>
"""

SENDMAIL = """The original message was received at Thu, 1 Jan 2030 00:00:00 GMT
from localhost [127.0.0.1]

   ----- The following addresses had permanent fatal errors -----
<ant@there.test>
    (reason: 550 5.1.1 <ant@there.test>... User unknown)

   ----- Transcript of session follows -----
... while talking to mx.there.test.:
>>> RCPT To:<ant@there.test>
<<< 550 5.1.1 <ant@there.test>... User unknown
550 5.1.1 <ant@there.test>... User unknown
"""

OLD_SENDMAIL = """   ----- Transcript of session follows -----
While talking to mx.there.test:
>>> RCPT To:<ant@there.test>
<<< 550 <ant@there.test>... User unknown
550 <ant@there.test>... User unknown
550 nowhere.test (smtp)... 550 Host unknown
554 <bee@nowhere.test>... 550 Host unknown (Authoritative answer from name server)

   ----- Unsent message follows -----
From: list@sender.test
"""

EXCHANGE = """Your message

  To:      list@elsewhere.test
  Subject: hello
  Sent:    Thu, 1 Jan 2030 00:00:00 -0000

did not reach the following recipient(s):

ant@there.test on Thu, 1 Jan 2030 00:00:00 -0000
    The recipient name is not recognized
	The MTS-ID of the original message is: c=us;a= ;p=There
    MSEXCH:IMS:There:HQ:MAIL 0 (000C05A6) Unknown Recipient
"""

DOMINO = """Your message

  Subject: hello

was not delivered to:

  ant@there.test

because:

  User ant (ant@there.test) not listed in Domino Directory
"""

GROUPWISE = """The message that you sent was undeliverable to the following:
	ant@there.test (mailbox is full)

Possibly truncated original message follows:
"""

YAHOO = """Sorry, we were unable to deliver your message to the following address.

<ant@there.test>:
Remote host said:
554 5.7.9 Message not accepted for policy reasons. See https://senders.yahooinc.com/error-codes

--- Below this line is a copy of the message.
To: elk@there.test
"""

IMAIL = """Unknown user: ant@there.test

Original message follows.

To: elk@there.test
"""

GMAIL = """** Message blocked **

Your message to ant@there.test has been blocked. See technical details below.

The response was:
550 5.7.26 Unauthenticated email from sender.test is not accepted due to domain's DMARC policy.
"""

JAPANESE = """このメールは自動送信です。
次のあて先へのメッセージはエラーのため送信できませんでした。

<ant@there.test>: 550 5.1.1 宛先不明です
"""
