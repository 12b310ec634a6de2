"""The new words of a reply: its text without what is quoted and without a signature.

Lines are judged by themselves and by a few of their neighbours, so that the work is linear in the
text, whatever it says; of what only looks like a beginning of something quoted, MOST_TRIES are
looked into. Why no library does it: see docs/decisions.

What is taken out:
    lines that begin with `>`, with the line that introduces them (`On …, Ann wrote:`)
    all from such a line on where the original follows without marks, as most programs quote HTML
    all from `-----Original Message-----` and its like on, and from a block of header fields
        (`From: … Sent: … To: …`) that repeats the original's
    all from a line `-- ` on (RFC 3676 §4.3), and `Sent from my …` at the end
"""

import re
from collections.abc import Sequence
from typing import Final

MAX_TEXT: Final = 1 << 20  # characters; replies that quote all that was ever said stay below
MOST_TRIES = 200  # a mail that quotes 50 others has two for each

_LONGEST = 500  # characters of an introduction, in all of its lines
_WRAPPED = 3  # lines of one introduction
_FIELDS = 8  # lines among which a block of header fields has three

# Who wrote it, as programs say it: en de fr es it pt nl da/no sv fi pl cs sk hu ro tr ru uk el ja
# zh ko.
_WROTE = re.compile(
    r"wrote|writes|schrieb|geschrieben|a écrit|escribió|ha scritto|escreveu|schreef|geschreven"
    r"|skrev|kirjoitti|napisał|pisze|napsal|napísal|ezt írta|a scris|şunları yazdı|yazdı"
    r"|написал|пишет|пише|написав|έγραψε|のメール|書きました|写道|寫道|작성|님이 쓴 글",
    re.IGNORECASE,
)
# In many languages the introduction is only a date and an address.
_ADDRESS_AT_END = re.compile(r"<[^<>@\s]{1,128}@[^<>@\s]{1,255}>\s?[:：]$")
_MOMENT = re.compile(r"\b(?:19|20)\d\d\b|\b\d{1,2}[:.h]\d\d\b|\d{1,2}[./-]\d{1,2}[./-]\d\d|\d日")
# What a wrapped introduction begins with: a word for "on", a weekday, a date, or its author.
_OPENING = re.compile(
    r"(?:On|Am|Le|El|Il|Em|Op|Den|Dne|Dnia|W dniu|Dňa|Pe|În|Στις|于|在|\d{1,4}"
    r"|\w{2,4}[.,]|[\w ]{3,12},) ?\S"
)

# `-----Original Message-----`, in whatever language, with a header field of the original below.
_DIVIDER = re.compile(r"[-_=]{3,40} ?\w[^-_=]{2,60}[-_=]{3,40}")
_ORIGINAL = re.compile(
    r"[-_=]{2,40} ?(?:Original|Forwarded)[ -]Message ?[-_=]{2,40}", re.IGNORECASE
)
_RULE = re.compile(r"[-_]{20,}")
_FORWARDED = frozenset(
    [
        "Begin forwarded message:",
        "Forwarded message:",
        "Anfang der weitergeleiteten Nachricht:",
        "Anfang der weitergeleiteten E-Mail:",
        "Début du message réexpédié :",
        "Début du message transféré :",
        "Inicio del mensaje reenviado:",
        "Inizio messaggio inoltrato:",
        "Início da mensagem reenviada:",
        "Begin doorgestuurd bericht:",
        "Start på vidarebefordrat brev:",
    ]
)
# Names of header fields as programs repeat them, `_` for a space.
_AUTHOR = "from von de da van fra från lähettäjä od от от_кого від 发件人 寄件者 差出人 보낸_사람"
_OTHERS = (
    "sent date to cc subject gesendet datum an kopie betreff envoyé à objet enviado enviado_el "
    "fecha para asunto inviato data a oggetto enviada assunto verzonden aan onderwerp sendt til "
    "emne dato skickat till ämne kopia lähetetty päivämäärä vastaanottaja aihe wysłano do temat dw "
    "odesláno komu předmět отправлено дата кому тема копия надіслано 发送时间 收件人 主题 抄送 "
    "日期 寄件日期 收件者 主旨 送信日時 宛先 件名 보낸_날짜 받는_사람 제목"
)
_FROM = frozenset(_AUTHOR.split())
_ABOUT_MAIL = frozenset(_OTHERS.split())
_FIELD_NAMES = _FROM | _ABOUT_MAIL
_LONGEST_NAME = 24
_SENT_FROM = re.compile(
    r"(?:Sent (?:from|with|via) |Get Outlook for |Gesendet (?:von|mit) |Von meinem .{1,40} gesendet"
    r"|Envoyé (?:de|depuis|à partir) |Enviado (?:desde|do|de) |Inviato da|Verzonden (?:vanaf|met) "
    r"|Sendt fra |Skickat från |Lähetetty |Wysłane? z |Odesláno z |Отправлено (?:с|из) |发自)",
    re.IGNORECASE,
)
_TAGLINE = 100  # characters; what is longer is a sentence that happens to begin like one


def new_words(text: str) -> str:
    """Return what a reply adds, empty when it adds nothing; line ends are `\\n`."""
    return _Reading(text.rstrip().split("\n")).result()


class _Reading:
    """One text's lines, and which of them have been kept."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._kept: list[str] = []
        self._gap = False
        self._tries = MOST_TRIES

    def result(self) -> str:
        """Return the lines that are new."""
        for number, line in enumerate(self._lines):
            if line[:1] == ">":
                self._leave_out_quoted()
            elif _is_suspect(line) and self._ends_all(number, line.strip()):
                break
            elif self._gap:
                self._keep_below_quoted(line)
            else:
                self._kept.append(line)
        kept = self._kept
        while kept and (not kept[-1].strip() or _is_tagline(kept[-1])):
            kept.pop()
        return "\n".join(kept).strip("\n")

    def _keep_below_quoted(self, line: str) -> None:
        """Keep a line; what stood around something quoted is parted by one empty line."""
        if line.strip():
            self._gap = False
            self._kept += ["", line] if self._kept else [line]

    def _leave_out_quoted(self) -> None:
        if self._gap:
            return
        self._gap = True
        self._drop_blanks()
        if self._kept and self._kept[-1].rstrip()[-1:] in _COLONS and self._may_try():
            lines = _introduction(self._kept[-_WRAPPED:], marked=True)
            del self._kept[len(self._kept) - lines :]
            self._drop_blanks()

    def _drop_blanks(self) -> None:
        while self._kept and not self._kept[-1].strip():
            self._kept.pop()

    def _ends_all(self, number: int, line: str) -> bool:
        """Whether nothing new comes from this line on; what belongs to it is not kept."""
        if line[0] in _RULERS:
            return line == "--" or self._is_divider(number, line)
        if self._is_header(number):
            return True
        return line[-1] in _COLONS and self._introduces(number, line)

    def _is_divider(self, number: int, line: str) -> bool:
        """Whether a line parts the reply from the original below."""
        if len(line) > _LONGEST or not self._may_try():
            return False
        if _ORIGINAL.fullmatch(line):
            return True
        if not (_DIVIDER.fullmatch(line) or _RULE.fullmatch(line)):
            return False
        below = self._next_line(number)
        return _field_name(below) in _FIELD_NAMES

    def _next_line(self, number: int) -> str:
        """Return the line that comes next, at most two empty ones below."""
        following = self._lines[number + 1 : number + 4]
        return next((line for line in following if line.strip()), "")

    def _is_header(self, number: int) -> bool:
        """Whether a block of the original's header fields begins here."""
        if _field_name(self._lines[number]) not in _FROM or not self._may_try():
            return False
        following = self._lines[number + 1 : number + _FIELDS]
        return sum(_field_name(line) in _ABOUT_MAIL for line in following) >= 2

    def _introduces(self, number: int, line: str) -> bool:
        """Whether the original follows without marks; with marks, the author may go on below."""
        if not self._may_try() or self._next_line(number)[:1] == ">":
            return False
        lines = _introduction([*self._kept[1 - _WRAPPED :], line], marked=False)
        if lines > 1:
            del self._kept[1 - lines :]
        return lines > 0

    def _may_try(self) -> bool:
        self._tries -= 1
        return self._tries >= 0


_COLONS = frozenset(":：")
_RULERS = frozenset("-_=")


def _is_suspect(line: str) -> bool:
    """Whether a line may end what is new; most are told apart from these at a glance."""
    return ":" in line or line[:1] in _RULERS or "：" in line or line.lstrip()[:1] in _RULERS


def _introduction(lines: Sequence[str], *, marked: bool) -> int:
    """Return how many of the last lines introduce what is quoted below; 0: none does.

    `marked`: it has `>`, which makes a word for writing enough; else more must speak for it, since
    all that follows is taken for the original.
    """
    if lines[-1].strip() in _FORWARDED:
        return 1
    joined = ""
    shortest = 0
    for count in range(1, min(_WRAPPED, len(lines)) + 1):
        line = lines[-count].strip()
        if not line or len(joined) + len(line) > _LONGEST:
            break
        joined = f"{line} {joined}".rstrip()
        dated = _MOMENT.search(joined) is not None
        said = _WROTE.search(joined) or (dated and _ADDRESS_AT_END.search(joined))
        if said and dated and _OPENING.match(joined):
            return count
        if said and count == 1 and (marked or (dated and "@" in joined)):
            shortest = 1
    return shortest


def _field_name(line: str) -> str:
    """Return the lower-case name of what may be a header field, `*From:*` as `from`."""
    head = line[: _LONGEST_NAME + 4].replace("：", ":")
    name, colon, _ = head.lstrip(" \t*>|").partition(":")
    return name.strip(" \t*\xa0").replace(" ", "_").lower() if colon else ""


def _is_tagline(line: str) -> bool:
    return len(line) <= _TAGLINE and _SENT_FROM.match(line.strip()) is not None
