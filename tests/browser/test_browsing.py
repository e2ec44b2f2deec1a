"""The browser's own watch: each thing that nobody may overlook fails the visit."""

from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.browsing import DESKTOP, visiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

WRONG = {
    "policy violated: style-src-attr by inline": """
        await new Promise((seen) => {
            document.addEventListener("securitypolicyviolation", seen);
            document.body.innerHTML = '<p style="color: red">!</p>';
        })""",
    "policy violated: script-src-elem by inline": """
        await new Promise((seen) => {
            document.addEventListener("securitypolicyviolation", seen);
            document.body.append(Object.assign(document.createElement("script"), {textContent: "top.x = 1"}));
        })""",
    "console warning: deprecated": 'console.warn("deprecated")',
    "console error: broken": 'console.error("broken")',
    "JavaScript: thrown": """
        setTimeout(() => { throw new Error("thrown"); });
        await new Promise((later) => setTimeout(later, 10))""",
    "dialog: Sure?": """
        setTimeout(() => alert("Sure?"));
        await new Promise((later) => setTimeout(later, 10))""",
    "404 from": 'await fetch("/nowhere/")',
}
"""What the watch says of it, and a script that does it."""


def test_a_visit_fails_on_what_went_wrong_unasked(browser: Browser, live_server: Any) -> None:
    for said, script in WRONG.items():
        with pytest.raises(AssertionError, match=said), visiting(browser, live_server.url) as page:
            page.goto("/admin/login/")
            page.evaluate(f"async () => {{ {script}; }}")


def test_a_visit_fails_on_a_request_to_elsewhere_and_does_not_let_it_out(
    browser: Browser, live_server: Any, admin_user: Any
) -> None:
    with (
        pytest.raises(AssertionError, match=r"asked elsewhere: http://elsewhere\.test/"),
        visiting(browser, live_server.url, admin_user) as page,
    ):
        page.goto("/admin/")
        with page.expect_event("requestfailed"):
            page.evaluate('location.assign("http://elsewhere.test/")')


def test_a_visit_on_which_nothing_went_wrong_is_quiet(browser: Browser, live_server: Any, admin_user: Any) -> None:
    with visiting(browser, live_server.url, admin_user) as page:
        page.goto("/admin/")


def test_a_visit_finds_nothing_of_the_one_before(browser: Browser, live_server: Any, admin_user: Any) -> None:
    with visiting(browser, live_server.url, admin_user) as before:
        before.goto("/admin/")
        before.evaluate("sessionStorage.setItem('a', 'b'); localStorage.setItem('a', 'b')")
        before.set_viewport_size({"width": 300, "height": 300})
        before.emulate_media(color_scheme="dark")
        before.route("**/*", lambda route: route.abort())
        before.context.set_offline(True)
    with visiting(browser, live_server.url) as page:
        assert page is before
        assert page.url == "about:blank"
        page.goto("/admin/")
        assert page.url.endswith("/admin/login/?next=/admin/")
        assert page.evaluate("[sessionStorage.a, localStorage.a, innerWidth]") == [None, None, DESKTOP[0]]
        assert page.evaluate("matchMedia('(prefers-color-scheme: light)').matches")
