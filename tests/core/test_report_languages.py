"""Notices and absence notes in many languages, and ordinary mail that speaks of bounces."""

from __future__ import annotations

import pytest

from config.bounce_rules import shipped
from mta.core.report import ReportKind, read_report
from tests.core.report_mails import notice

ANT = "ant@there.test"
PERSON = "From: Ant <ant@there.test>\nTo: shop@sender.test\nIn-Reply-To: <1@sender.test>\n"


@pytest.mark.parametrize(
    ("subject", "text", "kind"),
    [
        (
            "Unzustellbar: Neues",
            "Folgende Empfänger waren nicht erreichbar, nicht zugestellt:\n\n  {}\n  <#5.1.1>",
            "bad_mailbox",
        ),
        (
            "Non remis : Nouvelles",
            "Impossible de joindre le destinataire :\n\n  {}\n  Il n'existe pas. <#5.1.1>",
            "bad_mailbox",
        ),
        (
            "No se puede entregar: Noticias",
            "No se puede entregar el mensaje a:\n\n  {}\n     El buzón está lleno. #5.2.2",
            "mailbox_full",
        ),
        (
            "Mancata consegna del messaggio",
            "Il messaggio non può essere recapitato:\n\n<{}>: utente inesistente",
            "bad_mailbox",
        ),
        (
            "Mensagem devolvida",
            "Não foi possível entregar sua mensagem para:\n\n<{}>\nUsuário desconhecido.",
            "bad_mailbox",
        ),
        (
            "Bericht niet bezorgd",
            "Uw bericht kon niet worden bezorgd bij:\n\n{}\n  onbekende gebruiker",
            "bad_mailbox",
        ),
        (
            "Wiadomość niedostarczona",
            "Wiadomość nie mogła zostać dostarczona:\n\n<{}>: nie ma takiego użytkownika",
            "bad_mailbox",
        ),
        (
            "Недоставленное сообщение",
            "Письмо не может быть доставлено:\n\n{}: пользователь не существует",
            "bad_mailbox",
        ),
        ("系统退信", "您发送给（{}）的邮件无法送达。\n\n退信原因：对方邮箱已满", "mailbox_full"),
        (
            "Mesaj teslim edilemedi",
            "Mesaj teslim edilemedi:\n\n<{}>: kullanıcı bulunamadı",
            "bad_mailbox",
        ),
    ],
)
def test_notices_abroad(subject: str, text: str, kind: str) -> None:
    report = read_report(notice(text.format(ANT), subject=subject), shipped())
    assert report.kind is ReportKind.BOUNCE
    [recipient] = report.recipients
    assert (recipient.address, recipient.bounce_class.value) == (ANT, kind)
    assert recipient.is_hard is (kind == "bad_mailbox")


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("Abwesenheitsnotiz: Neues", "Ich bin bis Mai nicht im Haus."),
        ("Absent(e) : Nouvelles", "Je suis absent jusqu'au 5 mai."),
        ("Respuesta automática: Noticias", "Estaré fuera hasta mayo."),
        ("Fuori sede", "Sono in ferie."),
        ("Ausência: Notícias", "Estou de férias."),
        ("Frånvaro: Nyheter", "Jag är på semester."),
        ("Автоответ: Новости", "Я в отпуске."),
        ("自动回复: 新闻", "我正在休假。"),
        ("自動返信", "ただいま不在にしております。"),
        ("Re: News", "Ich bin im Urlaub; die Adresse existiert nicht mehr lange."),
        ("Automatic reply", "I no longer work here: no such user, mail was not delivered to me."),
    ],
)
@pytest.mark.parametrize("path", ["", "Return-Path: <>\n"])
def test_absent_people_are_no_bounces_whatever_their_return_path(
    subject: str, text: str, path: str
) -> None:
    report = read_report(notice(text, subject=subject, header=path + PERSON), shipped())
    assert (report.kind, report.recipients) == (ReportKind.AUTOREPLY, ())


def test_a_newsletter_about_bounces_is_none() -> None:
    text = f"An address such as {ANT} could not be delivered to: 550 5.1.1 user unknown."
    head = "From: News <news@sender.test>\nTo: b@sender.test\nList-Id: <news.sender.test>\n"
    news = notice(text, subject="How to avoid undeliverable mail", header=head)
    assert read_report(news, shipped()).kind is ReportKind.NONE
    failed = notice(text, subject="Undeliverable: How to avoid", header=head)
    assert read_report(failed, shipped()).kind is ReportKind.BOUNCE


@pytest.mark.parametrize(
    ("subject", "introduction"),
    [
        ("Recapito non riuscito", "Recapito non riuscito per i seguenti destinatari o gruppi:"),
        ("Det går inte att leverera", "Leverans misslyckades till följande mottagare:"),
        ("Nedoručitelné", "Doručení následujícím příjemcům se nezdařilo:"),
        ("Niedostarczalne", "Dostarczenie do następujących adresatów nie powiodło się:"),
        ("Μη παραδοτέο", "Η παράδοση στους παρακάτω παραλήπτες απέτυχε:"),
        ("未送达", "向这些收件人或组传递邮件时失败:"),
        ("לא ניתן למסירה", "המסירה נכשלה לנמענים אלה:"),
        ("Tidak terkirim", "Pengiriman gagal ke penerima berikut:"),
    ],
)
def test_exchange_without_its_delivery_status(subject: str, introduction: str) -> None:
    """A gateway has made one text of the report."""
    found = recipients_told_by_exchange(subject, introduction, "")
    assert found == [(ANT, True)]


def test_exchange_in_a_language_that_nobody_knows() -> None:
    header = "X-MS-Exchange-Message-Is-Ndr:\n"
    assert recipients_told_by_exchange("Chan eil e ann", "Dh'fhàillig e:", header) == [(ANT, True)]
    assert recipients_told_by_exchange("Chan eil e ann", "Dh'fhàillig e:", "") == []


def recipients_told_by_exchange(
    subject: str, introduction: str, header: str
) -> list[tuple[str, bool | None]]:
    header += (
        "From: Microsoft Outlook <MicrosoftExchange329e71ec88ae@there.test>\n"
        "Content-Type: text/plain; charset=utf-8\n"
    )
    reason = "#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##"
    text = f"{introduction}\n\n{ANT}\n\nmx\n\n{ANT}\n{reason}\n"
    report = read_report(notice(text, subject=f"{subject}: News", header=header), shipped())
    return [(found.address, found.is_hard) for found in report.recipients]
