"""The pages load files of this host only, and run no script of their own text."""

from html.parser import HTMLParser
from importlib.resources import files

import pytest

STATIC = files("conduit_api.web") / "static"
PAGES = ["docs.html", "reset-password.html", "confirm-email.html"]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.script_text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][0] in {"script", "style"}:
            self.script_text += data.strip()


@pytest.fixture(params=PAGES)
def elements(request: pytest.FixtureRequest) -> Elements:
    parser = Elements()
    parser.feed((STATIC / request.param).read_text())
    return parser


def test_scripts_and_styles_are_files(elements: Elements) -> None:
    assert elements.script_text == ""
    for tag, attributes in elements.found:
        assert tag != "style"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert tag != "script" or attributes.get("src")


def test_everything_comes_from_this_host(elements: Elements) -> None:
    for _, attributes in elements.found:
        for name in ("src", "href"):
            assert (attributes.get(name) or "/").startswith("/")
