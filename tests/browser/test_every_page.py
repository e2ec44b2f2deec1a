"""What holds on each page: usable with a screen reader, in light and in dark, and on a phone."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests import pages
from tests.browser.browsing import PHONE, visiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

GRAVE = {"serious", "critical"}
COLOURS = ("color-contrast", "link-in-text-block")
OPTIONS = {
    "resultTypes": ["violations"],
    # axe-core would ask for style sheets itself, by addresses that are not the page's.
    "preload": False,
}
BUT_COLOURS = {
    # Django labels its search field with a picture that has a text, and then describes it; the rule wants more.
    "rules": {rule: {"enabled": False} for rule in ("label-title-only", *COLOURS)},
}
ONLY_COLOURS = {"runOnly": {"type": "rule", "values": COLOURS}}

SIDEBAR = "#nav-sidebar"
"""The admin's list of all pages, which is on each of them."""

MARK_REPETITIONS = """() => {
  const lookOf = (each) => {
    const { color, backgroundColor, backgroundImage, opacity, fontSize, fontWeight, clip } = getComputedStyle(each);
    const says = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim().length > 1);
    const off = each.matches(":disabled, [aria-disabled], [hidden]");
    return [each.tagName, each.getAttribute("class"), says, off,
      color, backgroundColor, backgroundImage, opacity, fontSize, fontWeight, clip].join();
  };
  const addLooks = (looks, each, around = "") => {
    const look = `${around} > ${lookOf(each)}`;
    looks.push(look);
    for (const child of each.children) addLooks(looks, child, look);
    return looks;
  };
  for (const body of document.querySelectorAll("tbody")) {
    const seen = new Set();
    for (const row of body.rows) {
      const looks = addLooks([], row);
      const isRepetition = looks.every((look) => seen.has(look)) && !row.querySelector("svg");
      row.toggleAttribute("data-repetition", isRepetition);
      looks.forEach((look) => seen.add(look));
    }
  }
}"""
"""Marks the rows of tables in which everything looks as in a row before: their colours need not be judged again."""


def findings(page: Page, *, colours_only: bool = False, without: str = "") -> list[str]:
    """What axe-core, which the page has loaded, finds serious or critical on it, with the places."""
    places = [[without]] if without else []
    page.evaluate(MARK_REPETITIONS)
    found = _violations(page, ONLY_COLOURS, [*places, ["[data-repetition]"]])
    return found if colours_only else found + _violations(page, BUT_COLOURS, places)


def _violations(page: Page, options: dict[str, Any], without: list[list[str]]) -> list[str]:
    found = page.evaluate(
        "([where, options]) => axe.run(where, options).then((all) => all.violations)",
        [{"include": [["html"]], "exclude": without}, {**OPTIONS, **options}],
    )
    return [
        f"{each['impact']} {each['id']}: {each['help']} at {[node['target'] for node in each['nodes']]}"
        for each in found
        if each["impact"] in GRAVE
    ]


@pytest.mark.usefixtures("everything")
def test_nothing_on_it_keeps_anybody_out(browser: Browser, live_server: Any, admin_user: Any) -> None:
    found = []
    # axe-core is a script of ours, not the page's: here, and only here, the policy is off.
    with visiting(browser, live_server.url, admin_user, bypass_csp=True) as page:
        for each in pages.PAGES:
            page.goto(each.path())
            # A link that is still changing its colour would be judged by one that nobody reads.
            page.add_style_tag(content="* { transition: none !important; }")
            page.evaluate(Axe().axe_script)
            # The sidebar is looked at once with no page of its own chosen, and once with one.
            without = SIDEBAR if each not in {pages.FIRST, pages.TIMELINE} else ""
            found += [f"{each}: {finding}" for finding in findings(page, without=without)]
            # The dark page differs from the light one in nothing but colours.
            page.emulate_media(color_scheme="dark")
            found += [f"{each}, dark: {finding}" for finding in findings(page, colours_only=True, without=without)]
            page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)


@pytest.mark.usefixtures("everything")
def test_a_phone_scrolls_it_in_one_direction_only(browser: Browser, live_server: Any, admin_user: Any) -> None:
    width, _height = PHONE
    too_wide = []
    with visiting(browser, live_server.url, admin_user, size=PHONE, is_mobile=True, has_touch=True) as page:
        for each in pages.PAGES:
            page.goto(each.path())
            needed = page.evaluate("document.documentElement.scrollWidth")
            if needed > width:
                too_wide.append(f"{each} needs {needed} px: {page.evaluate(WIDEST)}")
    assert not too_wide, "\n".join(too_wide)


WIDEST = """() => [...document.querySelectorAll("body *")]
  .filter((each) => each.getBoundingClientRect().right > innerWidth && !each.closest(".page-scroll, .evening-toolbar"))
  .slice(0, 5).map((each) => `${each.tagName}.${each.className}`).join(", ")"""
"""What sticks out, for whoever has to mend it."""
