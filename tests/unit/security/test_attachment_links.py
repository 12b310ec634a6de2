"""Links to attachments: what is signed, by which keys, and that nothing else passes."""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretBytes

from conduit.security.attachment_links import AttachmentLink, AttachmentLinks

OLD, NEW = SecretBytes(b"o" * 32), SecretBytes(b"n" * 32)
LINK = AttachmentLink("wh_1", "msg_1", 0, 1_800_000_000)
LINKS = AttachmentLinks({"new": NEW, "old": OLD}, "https://conduit.example.com/")


def signature_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["signature"][0]


def test_a_link_names_what_it_is_good_for() -> None:
    url = urlsplit(LINKS.url(LINK))
    assert f"{url.scheme}://{url.netloc}{url.path}" == (
        "https://conduit.example.com/attachments/wh_1/msg_1/0"
    )
    assert parse_qs(url.query)["expires"] == ["1800000000"]


def test_a_link_is_known_again() -> None:
    assert LINKS.is_signed(LINK, signature_of(LINKS.url(LINK)))


@pytest.mark.parametrize(
    "change",
    [{"webhook_id": "wh_2"}, {"message_id": "msg_2"}, {"index": 1}, {"expires": 1_800_000_001}],
)
def test_nothing_of_it_can_be_changed(change: dict[str, Any]) -> None:
    assert not LINKS.is_signed(replace(LINK, **change), signature_of(LINKS.url(LINK)))


@pytest.mark.parametrize("signature", ["", "0" * 64, "é", "\ud800", "x" * 10_000])
def test_other_signatures_do_not_pass(signature: str) -> None:
    assert not LINKS.is_signed(LINK, signature)


def test_fields_do_not_run_into_each_other() -> None:
    one, other = replace(LINK, index=1, expires=23), replace(LINK, index=12, expires=3)
    assert not LINKS.is_signed(other, signature_of(LINKS.url(one)))


def test_the_first_key_signs_and_all_verify() -> None:
    before = AttachmentLinks({"old": OLD}, "https://conduit.example.com")
    after = AttachmentLinks({"new": NEW}, "https://conduit.example.com")
    assert LINKS.is_signed(LINK, signature_of(before.url(LINK)))
    assert LINKS.url(LINK) == after.url(LINK)
    assert not after.is_signed(LINK, signature_of(before.url(LINK)))
