"""Each action of the evening by touch, by keys, and as another person sees it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from assignments import api
from assignments.models import Assignment, Closure, FrozenEvening, Stage, TablePlace
from example import models
from tests.browser.browsing import TABLET, expect_text, in_haste, visiting
from tests.browser.test_evening import bar, coming, open_evening, row, said, select, stage_of, tables_of
from tests.browser.test_floor_plan import open_plan, place_tables, spot

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]


def at(booking: Assignment, code: str) -> Assignment:
    """Seat a booking there beforehand."""
    if tables_of(booking) != code:
        table = str(models.Table.objects.get(code=code).pk)
        api.move(booking_ref=booking.booking_ref, table_refs=[table], actor="staff:1")
    return booking


def absent(tonight: datetime) -> Assignment:
    """The last booking that should be here, and is not."""
    missed = Assignment.objects.filter(state="confirmed", stage=Stage.EXPECTED, starts_at__lt=tonight)
    return missed.order_by("-starts_at", "pk")[0]


def held(tonight: datetime, code: str) -> Assignment:
    """A booking that waits, and for which the table is held."""
    table = str(models.Table.objects.get(code=code).pk)
    waiting = Assignment.objects.filter(state="assignment_pending", starts_at__gt=tonight + timedelta(hours=2))
    for each in waiting.order_by("starts_at", "pk"):
        if not api.judge(booking_ref=each.booking_ref, table_refs=[table]):
            api.hold(booking_ref=each.booking_ref, table_refs=[table], seconds=600)
            return each
    raise AssertionError("Nobody who waits fits there.")


def work(page: Page, tonight: datetime, touch: Callable[[Locator], None], onto: Callable[[str], None]) -> None:
    """Do what is done in an evening. ``touch``: how something is pressed; ``onto``: how a row is chosen."""
    panel, message = page.locator("#evening-panel"), page.locator("#evening-said")

    def press(name: str, text: str, *, within: Locator = panel) -> None:
        touch(within.get_by_role("button", name=name).first)
        said(page, text)

    def choose(booking: Assignment) -> None:
        touch(bar(page, booking))
        expect_text(page.locator("#evening-panel-title"), f"Booking {booking.booking_ref}")

    one, other = at(coming(tonight, 0), "D1-T04"), at(coming(tonight, 1), "D1-T05")
    waiting = held(tonight, "D2-T01")
    open_evening(page)
    choose(one)
    onto("D1-T05")
    press("Swap with", "now", within=page.locator(".evening-preview"))
    assert (tables_of(one), tables_of(other)) == ("D1-T05", "D1-T04")
    press("Swap back", "Undone", within=message)
    assert (tables_of(one), tables_of(other)) == ("D1-T04", "D1-T05")
    onto("D2-T01")
    said(page, "D2-T01")
    press("Move back", "Undone", within=message)
    onto("D1-T05")
    press("Move both", "was moved to", within=page.locator(".evening-preview"))
    assert tables_of(one) == "D1-T05"
    press("Pin", "is pinned")
    press("Unpin", "no longer pinned")
    press("+15 min", "stays until")
    for name, text, stage in (
        ("Late", "late", Stage.LATE),
        ("Arrived", "arrived", Stage.ARRIVED),
        ("Seated", "seated", Stage.SEATED),
        ("Left", "left", Stage.LEFT),
    ):
        press(name, text)
        assert stage_of(one) == stage
    missed = absent(tonight)
    choose(missed)
    press("No-show", "no show")
    assert stage_of(missed) == Stage.NO_SHOW
    choose(other)
    press("Free tables", "is planned again")
    assert tables_of(other) == ""
    choose(waiting)
    press("Release hold", "is released")

    touch(page.get_by_role("link", name="Walk-in", exact=True))
    page.get_by_label("Guests", exact=True).fill("2")
    press("Seat now", "2 guests without a booking sit at")
    touch(panel.locator("[data-close]")) if panel.locator("[data-close]").count() else None
    touch(row(page, "D2-T01").locator("a.evening-table"))
    press("Close the table", "D2-T01: closed.")
    press("Lift the closure", "lifted", within=message)
    assert Closure.objects.exclude(lifted_at=None).count() == 1
    touch(page.get_by_role("link", name="Without a table"))
    line = page.locator("ul.evening-waiting li").filter(has_text="Can be seated now.").first
    press("Seat at", "now", within=line)
    touch(page.locator("#evening-more summary"))
    press("Freeze the evening", "frozen", within=page.locator("#evening-more"))
    assert FrozenEvening.objects.count() == 1


@pytest.mark.usefixtures("tonight")
def test_fingers_work_a_whole_evening_on_a_tablet(
    browser: Browser, live_server: Any, admin_user: Any, tonight: datetime
) -> None:
    with visiting(browser, live_server.url, admin_user, size=TABLET, has_touch=True) as page:

        def onto(code: str) -> None:
            expect(row(page, code)).to_have_attribute("data-fit", "taken" if code == "D1-T05" else "fits")
            row(page, code).locator("th").tap(position={"x": 5, "y": 40})

        work(page, tonight, lambda what: what.tap(), onto)


def test_keys_work_a_whole_evening(page: Page, tonight: datetime) -> None:
    def onto(code: str) -> None:
        expect(row(page, code)).to_have_attribute("data-fit", "taken" if code == "D1-T05" else "fits")
        row(page, code).locator("a.evening-table").press("Enter")

    work(page, tonight, lambda what: what.press("Enter"), onto)


def test_shortcuts_do_what_the_list_of_keys_says(page: Page, tonight: datetime) -> None:
    one, other = at(coming(tonight, 0), "D1-T04"), coming(tonight, 1)
    missed = absent(tonight)
    open_evening(page)

    def keys(booking: Assignment, *pressed: tuple[str, str]) -> None:
        bar(page, booking).press("Enter")
        expect_text(page.locator("#evening-panel-title"), f"Booking {booking.booking_ref}")
        for key, text in pressed:
            bar(page, booking).press(key)
            said(page, text)

    keys(
        one, ("p", "is pinned"), ("p", "no longer pinned"), ("+", "stays until"), ("u", "Undone"), ("-", "stays until")
    )
    keys(one, ("e", ": late"), ("a", ": arrived"), ("s", ": seated"), ("l", ": left"))
    assert stage_of(one) == Stage.LEFT
    keys(missed, ("n", ": no show"))
    assert stage_of(missed) == Stage.NO_SHOW
    keys(other, ("f", "is planned again"))
    assert tables_of(other) == ""
    page.keyboard.press("w")
    expect(page.get_by_label("Guests", exact=True)).to_be_focused()
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    said(page, "3 guests without a booking sit at")
    page.locator(".evening-bar").first.press("/")
    expect(page).to_have_url("/admin/assignments/serviceday/find/")


def test_others_see_a_swap_a_closure_and_a_placement_by_the_next_polls(
    browser: Browser, live_server: Any, page: Page, tonight: datetime, staff: Any
) -> None:
    one, other = at(coming(tonight, 0), "D1-T04"), at(coming(tonight, 1), "D1-T05")
    may = ("view_serviceday", "assign", "add_closure", "change_tableplace")
    anna = staff("anna", *(f"assignments.{each}" for each in may))
    soon = 6_000
    with visiting(browser, live_server.url, anna) as second:
        open_evening(page)
        open_evening(second)
        select(second, one)
        row(second, "D1-T05").locator("th").click(position={"x": 5, "y": 40})
        second.locator(".evening-preview").get_by_role("button", name="Swap with").click()
        said(second, "now")
        for booking, code in ((one, "D1-T05"), (other, "D1-T04")):
            there = row(page, code).locator(f'.evening-bar[data-booking="{booking.pk}"]')
            expect(there).to_be_attached(timeout=soon)
        expect_text(page.locator("#evening-news"), "anna")
        second.locator("[data-close]").click()
        row(second, "D2-T01").locator("a.evening-table").click()
        second.get_by_role("button", name="Close the table").click()
        said(second, "closed")
        expect(row(page, "D2-T01").locator(".evening-bar[data-closure]")).to_be_attached(timeout=soon)
        with in_haste(page):
            open_plan(page)
        open_plan(second)
        place_tables(second)
        spot(second, "D1-T01").locator("a.evening-table").press("Enter")
        second.get_by_label("From the left").fill("600")
        second.get_by_role("button", name="Place the table").click()
        said(second, "was placed")
        expect(spot(page, "D1-T01")).to_have_attribute("data-x", "600")
    assert TablePlace.objects.count() == 1
