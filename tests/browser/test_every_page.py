"""What holds on each page: usable with a screen reader, in light and in dark, and on a phone."""

from collections.abc import Sequence
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests import pages
from tests.browser.browsing import PHONE, visiting

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

GRAVE = {"serious", "critical"}
OPTIONS = {
    "resultTypes": ["violations", "passes"],
    "elementRef": True,
    "selectors": False,
    # axe-core would ask for style sheets itself, by addresses that are not the page's.
    "preload": False,
}
ALL_RULES = {
    **OPTIONS,
    # Django labels its search field with a picture that has a text, and then describes it; the rule wants more.
    "rules": {"label-title-only": {"enabled": False}},
}
COLOURS = {**OPTIONS, "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}

SIDEBAR = "#nav-sidebar"
"""The admin's list of all pages, which is on each of them."""

PREPARE = """() => {
  // A link that is still changing its colour would be judged by one that nobody reads.
  const still = new CSSStyleSheet();
  still.replaceSync("* { transition: none !important; }");
  document.adoptedStyleSheets.push(still);
  axe.configure({ rules: [{ id: "color-contrast", selector: ":not([data-repetition])" }] });
}"""

JUDGE = """async ([without, options]) => {
  const passed = new Set(JSON.parse(sessionStorage.passedLooks ?? "[]"));
  const looks = new Map();
  const addLooks = (each, ground, seen) => {
    if (each.matches("svg") || (without && each.matches(without))) return;
    const style = getComputedStyle(each);
    if (["absolute", "fixed", "sticky"].includes(style.position)) seen = null;  // It may lie over something.
    const { color, backgroundColor, backgroundImage, opacity, fontSize, fontWeight, clip } = style;
    const says = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim().length > 1);
    const off = each.matches(":disabled, [aria-disabled], [hidden]") || Boolean(each.control?.disabled);
    const own = [backgroundColor, backgroundImage, opacity].join();
    if (own !== "rgba(0, 0, 0, 0),none,1") ground += ` ${own}`;
    const look = [each.tagName, each.getAttribute("class"), says, off, color, fontSize, fontWeight, clip, ground].join();
    each.toggleAttribute("data-repetition", Boolean(seen?.has(look)));
    if (seen) looks.set(each, look);
    if (each.matches("tbody")) seen = seen && new Set(seen);
    if (seen && seen !== passed) seen.add(look);
    for (const child of each.children) addLooks(child, ground, seen);
  };
  addLooks(document.body, "", passed);
  const { passes, violations } = await axe.run({ include: [["html"]], exclude: without ? [[without]] : [] }, options);
  for (const { element, any } of passes.find((rule) => rule.id === "color-contrast")?.nodes ?? [])
    if (any[0].data?.contrastRatio && looks.has(element)) passed.add(looks.get(element));
  sessionStorage.passedLooks = JSON.stringify([...passed]);
  return violations.map(({ impact, id, help, nodes }) => ({ impact, id, help, places: nodes.map(({ html }) => html) }));
}"""
"""Judges the page. Contrast is not judged again where a text looks as one that passed, or as one in a row before it."""


def findings(page: Page, *, schemes: Sequence[Any] = ("light", "dark"), without: str = "") -> list[str]:
    """What axe-core finds serious or critical on it in these colour schemes, with the places."""
    page.evaluate(Axe().axe_script)
    page.evaluate(PREPARE)
    found = []
    # The dark page differs from the light one in nothing but colours.
    for scheme, options in zip(schemes, (ALL_RULES, COLOURS), strict=True):
        page.emulate_media(color_scheme=scheme)
        found += [
            f"{scheme}: {each['impact']} {each['id']}: {each['help']} at {each['places']}"
            for each in page.evaluate(JUDGE, [without, options])
            if each["impact"] in GRAVE
        ]
    return found


@pytest.mark.usefixtures("everything")
def test_nothing_on_it_keeps_anybody_out(browser: Browser, live_server: Any, admin_user: Any) -> None:
    found = []
    # axe-core is a script of ours, not the page's: here, and only here, the policy is off.
    with visiting(browser, live_server.url, admin_user, bypass_csp=True) as page:
        schemes = ["light", "dark"]
        for each in pages.PAGES:
            page.goto(each.path())
            # The sidebar is looked at once with no page of its own chosen, and once with one.
            without = SIDEBAR if each not in {pages.FIRST, pages.TIMELINE} else ""
            found += [f"{each}, {finding}" for finding in findings(page, schemes=schemes, without=without)]
            schemes.reverse()  # The next page begins in the one in which this ended.
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
