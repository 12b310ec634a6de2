"""Lists in pages: which page of which mails is wanted, and links to the others."""

from collections.abc import Iterator, Mapping
from typing import Annotated
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field

from conduit.model.delivery import MailFilter
from conduit.store.mail_filter import COUNTED
from conduit_api.fields import Moment, Omittable, Query

PAGE_HEADERS: Mapping[str, str] = {
    "Link": "The first, previous, next and last page (RFC 8288), with the same filters",
    "X-Total-Count": f"Number of results on all pages, {COUNTED} at most; what is older than "
    "these is found by its time",
}


class PageQuery(Query):
    """Which page of a list is wanted."""

    page: Annotated[int, Field(ge=1, description="Page number (1-based)")] = 1
    page_size: Annotated[int, Field(ge=1, le=100, description="Number of results per page")] = 20

    @property
    def skipped(self) -> int:
        """Results on the pages before."""
        return (self.page - 1) * self.page_size


class MailQuery(PageQuery):
    """Which page is wanted, and of which mails."""

    sender: Omittable[
        Annotated[str, Field(description="Exact envelope sender address; empty: mails from <>")]
    ] = None
    message_id: Omittable[
        Annotated[str, Field(description="SMTP Message-ID header value, its brackets optional")]
    ] = None
    since: Omittable[Annotated[Moment, Field(description="From this moment on (RFC 3339)")]] = (
        Field(default=None, alias="from")
    )
    until: Omittable[Annotated[Moment, Field(description="Before this moment (RFC 3339)")]] = Field(
        default=None, alias="to"
    )

    def mails(self) -> MailFilter:
        """Return what is said of the mails."""
        return MailFilter(
            sender=self.sender,
            smtp_message_ids=forms_of(self.message_id),
            since=self.since,
            until=self.until,
        )


def page_headers(request: web.Request, wanted: PageQuery, total: int) -> Mapping[str, str]:
    """Return the headers of a page, out of `total` results."""
    return {"X-Total-Count": str(total), "Link": ", ".join(_links(request, wanted, total))}


def _links(request: web.Request, wanted: PageQuery, total: int) -> Iterator[str]:
    """Make links to other pages (RFC 8288), relative, for the name we have outside is not ours."""
    last = max(-(-total // wanted.page_size), 1)
    targets = {
        "first": 1,
        "prev": min(wanted.page - 1, last),
        "next": wanted.page + 1,
        "last": last,
    }
    filters = _filters(request, wanted)
    for relation, page in targets.items():
        if 1 <= page <= last:
            query = urlencode({"page": page, "page_size": wanted.page_size, **filters})
            yield f'<{request.path}?{query}>; rel="{relation}"'


def _filters(request: web.Request, wanted: PageQuery) -> dict[str, str]:
    """Return the filters of the request as they were given."""
    names = {field.alias or name for name, field in type(wanted).model_fields.items()}
    return {
        name: request.query[name] for name in request.query if name in names - {"page", "page_size"}
    }


def forms_of(message_id: str | None) -> tuple[str, ...]:
    """Return how a Message-ID may be kept that a client has written, its brackets or not."""
    if message_id is None:
        return ()
    return (message_id,) if message_id.startswith("<") else (message_id, f"<{message_id}>")
