"""The documentation's page loads files of this host only, and runs no script of its own text."""

from html.parser import HTMLParser
from importlib.resources import files

PAGE = (files("conduit_api.web") / "static" / "docs.html").read_text()


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


def elements() -> Elements:
    parser = Elements()
    parser.feed(PAGE)
    return parser


def test_scripts_and_styles_are_files() -> None:
    assert elements().script_text == ""
    for tag, attributes in elements().found:
        assert tag != "style"
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert tag != "script" or attributes.get("src")


def test_everything_comes_from_this_host() -> None:
    for _, attributes in elements().found:
        for name in ("src", "href"):
            assert (attributes.get(name) or "/").startswith("/")
