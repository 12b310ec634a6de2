"""What a reply adds to the mail that it answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conduit.mail.parse import parse
from conduit.mail.reply import MAX_TEXT, MOST_TRIES, new_words

QUOTED = "> old\n>\n>> older\n"

# What programs put above the original, each in its language.
INTRODUCTIONS = {
    "English, Gmail": "On Mon, Jan 6, 2025 at 10:00 AM Ann <ann@example.com> wrote:",
    "English, Apple Mail": "On 6 Jan 2025, at 10:00, Ann <ann@example.com> wrote:",
    "English, Thunderbird": "On 1/6/25 10:00, Ann Author wrote:",
    "English, mutt": "On Mon, Jan 06, 2025 at 10:00:00AM +0000, Ann Author wrote:",
    "English, wrapped": "On Mon, Jan 6, 2025 at 10:00 AM Ann Author <\nann@example.com> wrote:",
    "English, wrapped late": "On Mon, Jan 6, 2025 at 10:00 AM Ann <ann@example.com>\nwrote:",
    "English, in three": "On Mon, Jan 6, 2025\nat 10:00 AM Ann <ann@example.com>\nwrote:",
    "German, Gmail": "Am Mo., 6. Jan. 2025 um 10:00 Uhr schrieb Ann <ann@example.com>:",
    "German, Thunderbird": "Am 06.01.25 um 10:00 schrieb Ann Author:",
    "German, wrapped": "Am Mo., 6. Jan. 2025 um 10:00 Uhr schrieb Ann <\nann@example.com>:",
    "French, Gmail": "Le lun. 6 janv. 2025 à 10:00, Ann <ann@example.com> a écrit :",
    "French, Thunderbird": "Le 06/01/2025 à 10:00, Ann Author a écrit\xa0:",
    "Spanish": "El lun, 6 ene 2025 a las 10:00, Ann (<ann@example.com>) escribió:",
    "Italian": "Il giorno lun 6 gen 2025 alle ore 10:00 Ann <ann@example.com> ha scritto:",
    "Portuguese": "Em seg., 6 de jan. de 2025 às 10:00, Ann <ann@example.com> escreveu:",
    "Dutch": "Op ma 6 jan 2025 om 10:00 schreef Ann <ann@example.com>:",
    "Danish": "Den man. 6. jan. 2025 kl. 10.00 skrev Ann <ann@example.com>:",
    "Swedish": "Den mån 6 jan. 2025 kl 10:00 skrev Ann <ann@example.com>:",
    "Finnish": "ma 6. tammik. 2025 klo 10.00 Ann (ann@example.com) kirjoitti:",
    "Polish": "pon., 6 sty 2025 o 10:00 Ann <ann@example.com> napisał(a):",
    "Czech": "po 6. 1. 2025 v 10:00 odesílatel Ann <ann@example.com> napsal:",
    "Turkish": "Ann <ann@example.com>, 6 Oca 2025 Pzt, 10:00 tarihinde şunu yazdı:",
    "Russian, Gmail": "пн, 6 янв. 2025 г. в 10:00, Ann <ann@example.com>:",
    "Russian, Thunderbird": "06.01.2025 10:00, Ann Author пишет:",
    "Japanese": "2025年1月6日(月) 10:00 Ann <ann@example.com>:",
    "Chinese": "Ann <ann@example.com> 于2025年1月6日周一 10:00写道：",
    "Korean": "2025년 1월 6일 (월) 오전 10:00, Ann <ann@example.com>님이 작성:",
}
HEADERS = {
    "English": "From: Ann <ann@example.com>\nSent: Monday\nTo: Bob\nSubject: Hello",
    "English, marked up": "*From:* Ann\n*Sent:* Monday\n*To:* Bob\n*Subject:* Hello",
    "English, below a rule": "_" * 32 + "\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: Hello",
    "German": "Von: Ann <ann@example.com>\nGesendet: Montag\nAn: Bob\nBetreff: Hallo",
    "French": "De : Ann <ann@example.com>\nEnvoyé : lundi\nÀ : Bob\nObjet : Bonjour",
    "French, no-break spaces": "De\xa0: Ann\nEnvoyé\xa0: lundi\nÀ\xa0: Bob\nObjet\xa0: Bonjour",
    "Spanish": "De: Ann\nEnviado el: lunes\nPara: Bob\nAsunto: Hola",
    "Italian": "Da: Ann\nInviato: lunedì\nA: Bob\nOggetto: Ciao",
    "Dutch": "Van: Ann\nVerzonden: maandag\nAan: Bob\nOnderwerp: Hallo",
    "Chinese": "发件人：Ann\n发送时间：2025年1月6日\n收件人：Bob\n主题：你好",
}
DIVIDERS = [
    "-----Original Message-----",
    "-------- Original message --------",
    "-----Ursprüngliche Nachricht-----\nVon: Ann",
    "-------- Message d'origine --------\nDe : Ann",
    "---------- Forwarded message ---------\nFrom: Ann <ann@example.com>",
]


@pytest.mark.parametrize("introduction", INTRODUCTIONS.values(), ids=list(INTRODUCTIONS))
@pytest.mark.parametrize("original", [QUOTED, f"\n{QUOTED}", "\nold\n\nolder\n"])
def test_the_original_and_its_introduction_are_left_out(introduction: str, original: str) -> None:
    assert new_words(f"Yes, please.\n\n{introduction}\n{original}") == "Yes, please."


@pytest.mark.parametrize("introduction", INTRODUCTIONS.values(), ids=list(INTRODUCTIONS))
def test_what_stands_below_the_original_is_new(introduction: str) -> None:
    assert new_words(f"{introduction}\n{QUOTED}\nYes, please.\n") == "Yes, please."


@pytest.mark.parametrize("header", HEADERS.values(), ids=list(HEADERS))
def test_a_header_begins_the_original(header: str) -> None:
    assert new_words(f"Yes, please.\n\n{header}\n\nold\n") == "Yes, please."


@pytest.mark.parametrize("divider", DIVIDERS)
def test_a_divider_begins_the_original(divider: str) -> None:
    assert new_words(f"Yes, please.\n\n{divider}\n\nold\n") == "Yes, please."


def test_answers_between_quoted_lines_stay() -> None:
    text = "Ann wrote:\n> One?\n\nYes.\n\n> Two?\nNo.\n\n\n> Three?\n"
    assert new_words(text) == "Yes.\n\nNo."


@pytest.mark.parametrize(
    "signature",
    [
        "-- \nBob\nExample Inc.",
        "--\nBob",
        "Sent from my iPhone",
        "Gesendet von Outlook für Android",
        "Envoyé de mon iPhone",
        "Get Outlook for iOS<https://aka.ms/o0ukef>",
    ],
)
def test_a_signature_is_left_out(signature: str) -> None:
    assert new_words(f"Yes.\n\n{signature}\n") == "Yes."
    assert new_words(f"Yes.\n\n{signature}\n\nOn 1/6/25 10:00, Ann wrote:\n{QUOTED}") == "Yes."


@pytest.mark.parametrize(
    "text",
    [
        "Yes.\n\nTwo paragraphs, the second of them\nwith two lines.",
        "The list:\n\n- one\n- two\n\n1. a\n2. b",
        "He wrote:\nnothing of any use.",
        "In 2019 the minister wrote:\nnothing of any use.",
        "From: here to there\nit takes an hour.",
        "From: noon\nTo: midnight\nand that is all.",
        "a\n-----\nb\n________________________\nc",
        "Sent from my desk to yours: "
        + "a sentence that goes on and on and on, " * 3
        + "and ends.",
        "Time: 10:00\nPlace: here",
        "x > y\n  > z",
        "",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert new_words(text) == text


def lines_of(text: str) -> set[str]:
    return {"", *text.split("\n"), *text.rstrip().split("\n")}


def test_who_adds_nothing_leaves_nothing() -> None:
    assert new_words(f"On 1/6/25 10:00, Ann wrote:\n{QUOTED}") == ""


@given(st.text(alphabet=st.sampled_from("\n\n>: -_Oonwrte,<@2025abFm\t"), max_size=300))
def test_every_line_was_the_senders(text: str) -> None:
    assert set(new_words(text).split("\n")) <= {
        *text.split("\n"),
        text.rstrip().split("\n")[-1],
        "",
    }


HOSTILE = {
    "marks": ">",
    "quoted lines": ">\n",
    "line ends": "\n",
    "spaces": " ",
    "lines of a space": " \n",
    "openings": "On a\n",
    "openings in a line": "On ",
    "introductions": "On x wrote:\n",
    "dated introductions in a line": "On 2025 wrote: ",
    "introductions that are quoted": "x:\n>\n",
    "wrote": "wrote",
    "authors": "From: a\n",
    "authors in a line": "From: ",
    "other fields": "Sent: a\n",
    "dashes": "-",
    "dashes and words": "---a",
    "rules": "-" * 30 + "\n",
    "taglines": "Sent from my x\n",
    "addresses": "<a@b ",
    "dates": "2025 10:00 ",
    "colons": ":",
    "lines of colons": ":\n",
    "German": "Am 2025 schrieb ",
    "wide colons": "：\n",
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=list(HOSTILE))
def test_a_mib_of_anything_is_read(piece: str) -> None:
    """What takes a multiple of the text's length squared would not end before the tests' limit."""
    text = piece * (MAX_TEXT // len(piece))
    assert lines_of(new_words(text)) <= lines_of(text)


def test_what_may_begin_the_original_is_looked_into_so_often() -> None:
    original = "On 1/6/25 10:00, Ann wrote:\nold"
    few, many = ("a:\n" * count for count in (MOST_TRIES - 1, MOST_TRIES))
    assert new_words(few + original) == few.strip()
    assert new_words(many + original) == many + original


@pytest.mark.parametrize(
    ("header", "is_reply"),
    [
        (b"In-Reply-To: <1@example.com>", True),
        (b"references: <1@example.com>", True),
        (b"Subject: Re: Hello", True),
        (b"Subject: RE : Hello", True),
        (b"Subject: AW[2]: Hallo", True),
        (b"Subject: =?utf-8?q?R=C3=A9?=: Bonjour", True),
        (b"Subject: =?utf-8?b?UmU6IEdyw7zDn2U=?=", True),
        (b"Subject: Fwd: Hello", False),
        (b"Subject: Regarding: Hello", False),
        (b"Subject: More", False),
        (b"X-Nothing: 1", False),
    ],
)
def test_which_mails_are_replies(header: bytes, is_reply: bool) -> None:
    assert parse(header + b"\r\n\r\nYes.\r\n").is_reply is is_reply
