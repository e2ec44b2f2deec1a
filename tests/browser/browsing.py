"""A browser that watches itself: what nobody looks at in a browser test, and every user suffers from."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.test import Client
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Error,
    Locator,
    Page,
    Request,
    Response,
    expect,
)
from playwright.sync_api import TimeoutError as TookTooLong

FLAGS = (
    "--no-sandbox",  # as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",  # nothing is let out
)
PATIENCE_MS = 30_000
"""How long an action or an expectation waits for the page before it fails."""
DESKTOP = (1200, 900)
TABLET = (820, 1180)
PHONE = (390, 844)
"""Width and height in CSS pixels."""

VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
  `policy violated: ${event.violatedDirective} by ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`
));
"""


@dataclass(kw_only=True)
class Watch:
    """What went wrong in one visit, in the order in which it did. ``expected``: statuses that the test is about."""

    origin: str
    expected: frozenset[int] = frozenset()
    problems: list[str] = field(default_factory=list)

    def begin(self, expected: frozenset[int]) -> None:
        self.expected, self.problems = expected, []

    def over(self, context: BrowserContext) -> None:
        context.add_init_script(VIOLATIONS)
        context.on("console", self._console)
        context.on("weberror", lambda error: self.problems.append(f"JavaScript: {error.error}"))
        context.on("request", self._request)
        context.on("response", self._response)
        context.on("requestfailed", self._failed)
        context.on("dialog", self._dialog)

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.origin}/", "data:")):
            self.problems.append(f"asked elsewhere: {request.url}")

    def _console(self, message: ConsoleMessage) -> None:
        # What failed to load is said by its response, with the status.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected:
            self.problems.append(f"{response.status} from {response.url}")

    def _failed(self, request: Request) -> None:
        # A navigation aborts what is still loading; what was not let out is said already; a test is offline on purpose.
        if request.failure not in {"net::ERR_ABORTED", "net::ERR_FAILED", "net::ERR_INTERNET_DISCONNECTED"}:
            self.problems.append(f"{request.failure} from {request.url}")

    def _dialog(self, dialog: Dialog) -> None:
        self.problems.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@dataclass(frozen=True, kw_only=True)
class Seat:
    """A page in which one visit follows another: its process and its cache stay warm, and nothing else stays."""

    page: Page
    watch: Watch

    @classmethod
    def new(cls, browser: Browser, origin: str, **options: Any) -> "Seat":
        context = browser.new_context(
            base_url=origin,
            locale="en-GB",
            timezone_id="America/New_York",  # nobody's: a page that shows the browser's time is wrong
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(PATIENCE_MS)
        watch = Watch(origin=origin)
        watch.over(context)
        return cls(page=context.new_page(), watch=watch)

    def leave(self) -> bool:
        """Forget the visit, if it ended on a page of ours and only there; say whether it did."""
        page, context = self.page, self.page.context
        if context.pages != [page] or not page.url.startswith(self.watch.origin):
            return False
        page.unroute_all()
        context.set_offline(False)
        page.mouse.move(0, 0)
        try:
            # By a script, and not by page.goto: so it stays in its process.
            with page.expect_navigation(url="about:blank"):
                page.evaluate("localStorage.clear(); sessionStorage.clear(); location.replace('about:blank')")
        except Error:  # It is on its way to elsewhere.
            return False
        context.clear_cookies()
        return True


_free: dict[tuple[Any, ...], list[Seat]] = {}
"""Seats that nobody has, by what they were made with."""


@contextmanager
def visiting(
    browser: Browser,
    origin: str,
    user: Any = None,
    *,
    expected: frozenset[int] = frozenset(),
    size: tuple[int, int] = DESKTOP,
    color_scheme: Any = "light",
    **options: Any,
) -> Iterator[Page]:
    """A page of ``user``, signed in, or of nobody; fails at the end on whatever went wrong unasked.

    ``options`` are those of a browser context, such as ``bypass_csp``.
    """
    free = _free.setdefault((browser, origin, *sorted(options.items())), [])
    seat = free.pop() if free else Seat.new(browser, origin, **options)
    page, context = seat.page, seat.page.context
    seat.watch.begin(expected)
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=color_scheme)
    if user is not None:
        client = Client()
        client.force_login(user)
        name = settings.SESSION_COOKIE_NAME
        context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": origin}])
    stays = False
    try:
        yield page
        stays = seat.leave()
    finally:
        if stays:
            free.append(seat)
        else:
            context.close()
    assert not seat.watch.problems, "\n".join(seat.watch.problems)


def in_haste(page: Page) -> AbstractContextManager[Any]:
    """What its pages do after a while, such as asking what others did, they do six times as soon."""
    return page.add_init_script(
        "const later = setTimeout; window.setTimeout = (run, ms, ...given) => later(run, ms / 6, ...given);"
    )


def expect_text(what: Locator, text: str) -> None:
    """Expect that its text contains this, sooner or later.

    ``expect`` alone, for its message, describes all of the page at each try for as long as nothing is to be seen there.
    In a full evening, that costs more than what is tested. The same holds of ``to_be_visible``: ``wait_for`` is cheaper.
    """
    with suppress(TookTooLong):
        what.filter(has_text=re.compile(re.escape(text))).wait_for(state="attached")
    expect(what).to_contain_text(text)
