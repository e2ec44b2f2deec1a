"""The two scripts of docs/pages.md, done as a new user would: with nothing but the pages, every step counted.

``make test-scripts`` does them; with ``WRITE_STEPS=1`` it writes the counts into the document, and without they have to be
those that the document names.
"""

import os
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from assignments import api
from assignments.lifecycle import ledger
from assignments.models import Allocation, Assignment, Closure, FrozenEvening, StaffAction, Stage, TablePlace
from example import models
from rollout.control import steering
from rollout.models import Comparison
from tests.browser.test_evening import bar, coming, open_evening, row, said, stage_of, tables_of
from tests.docs.document import DOCS
from tests.example.test_health_page import a_run

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser"), pytest.mark.scripts]

DOCUMENT = DOCS / "pages.md"


class Person:
    """Somebody at a page. Each click, key and filled field is a step; looking and waiting is none."""

    def __init__(self, page: Page, begin: Callable[[Page], None]) -> None:
        self.page, self.begin = page, begin
        self.steps: dict[int, int] = {}
        self.task = 0

    def starts(self, task: int, *, anew: bool = True) -> None:
        """Begin a task, on the page on which the script begins, or where the last task ended."""
        self.task = task
        self.steps[task] = 0
        if anew:
            self.begin(self.page)

    def click(self, what: Locator, **options: Any) -> None:
        self.steps[self.task] += 1
        what.click(**options)

    def fill(self, what: Locator, text: str) -> None:
        self.steps[self.task] += 1
        what.fill(text)

    def choose(self, what: Locator, value: str) -> None:
        self.steps[self.task] += 1
        what.select_option(value)

    def link(self, name: str, **options: Any) -> None:
        self.click(self.page.get_by_role("link", name=name, **options).first)

    def button(self, name: str, *, within: str = "#content") -> None:
        self.click(self.page.locator(within).get_by_role("button", name=name, exact=False).first)

    def table(self, code: str) -> None:
        """Click on a table's row: a booking is selected."""
        expect(row(self.page, code)).to_have_attribute("data-fit", re.compile("."))
        self.click(row(self.page, code).locator("th"), position={"x": 5, "y": 40})


def compare_or_write(script: str, steps: dict[int, int]) -> None:
    """Compare the counted steps with the script's table; or write them into it."""
    text = DOCUMENT.read_text()
    start = text.index(f"### {script}")
    end = text.find("\n### ", start + 1)
    part = text[start:] if end < 0 else text[start:end]
    found = {int(number): int(count) for number, count in re.findall(r"^\| (\d+) \|.*\| (\d+) \|$", part, re.MULTILINE)}
    assert found.keys() == steps.keys()
    if not os.environ.get("WRITE_STEPS"):
        assert found == steps
        return
    written = re.sub(
        r"^(\| (\d+) \|.*\| )\d+ \|$", lambda match: f"{match[1]}{steps[int(match[2])]} |", part, flags=re.MULTILINE
    )
    DOCUMENT.write_text(text.replace(part, written))


def at_table(booking: Assignment, code: str) -> Assignment:
    """Seat a booking there beforehand."""
    ref = str(models.Table.objects.get(code=code).pk)
    if tables_of(booking) != code:
        api.move(booking_ref=booking.booking_ref, table_refs=[ref], actor="staff:1")
    return booking


def test_a_manager_works_the_evening(page: Page, tonight: datetime) -> None:
    anna = Person(page, open_evening)
    restaurant = models.Restaurant.objects.get()
    panel, message = page.locator("#evening-panel"), page.locator("#evening-said")

    anna.starts(1)
    soon = Assignment.objects.filter(state="confirmed", starts_at__range=(tonight, tonight + timedelta(minutes=30)))
    scroll = page.locator(".evening-scroll").bounding_box()
    assert scroll is not None
    for booking in soon.exclude(stage__in=[Stage.LEFT, Stage.NO_SHOW]):
        box = bar(page, booking).bounding_box()
        assert box is not None
        assert scroll["x"] < box["x"] < scroll["x"] + scroll["width"]
        assert "table" in (bar(page, booking).get_attribute("aria-label") or "")
    known = bar(page, coming(tonight))
    width = width_of(known)
    anna.link("Dinner", exact=True)
    expect(page.get_by_role("link", name="Dinner", exact=True)).to_have_attribute("aria-current", "true")
    anna.click(page.locator("#evening-more summary"))
    anna.click(page.locator("#evening-more").get_by_role("link", name=re.compile("^3")))
    expect(page).to_have_url(re.compile("zoom=3"))
    assert width_of(known) > width
    anna.click(page.locator(".evening-fold").last)
    expect(page.locator("tbody[data-zone]").last.locator("tr.evening-row").first).to_be_hidden()
    page.evaluate("sessionStorage.clear()")
    # What others do is seen without a reload.
    late = coming(tonight, 2)
    api.late(booking_ref=late.booking_ref, actor="staff:1")
    expect(bar(page, late)).to_have_attribute("aria-label", re.compile(", late"), timeout=6_000)

    one, other = coming(tonight, 0), coming(tonight, 1)
    anna.starts(3)
    anna.click(bar(page, one))
    anna.table("D1-T05")
    said(page, "D1-T05")
    assert tables_of(one) == "D1-T05"

    # Right after the wrong move: its message offers the way back.
    anna.starts(18, anew=False)
    anna.click(message.get_by_role("button", name="Move back"))
    said(page, "Undone")
    assert tables_of(one) != "D1-T05"
    anna.link("Plan", exact=True)
    anna.click(page.locator("#evening-more summary"))
    anna.link("Place tables")
    expect(page.locator("#evening[data-ready] .evening-plan[data-place]")).to_be_visible()
    box = page.locator(".plan-row").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 50, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 140, steps=5)
    page.mouse.up()
    anna.steps[18] += 1
    said(page, "was placed")
    anna.click(message.get_by_role("button", name="Put it back"))
    said(page, "in its zone's row again")
    assert not TablePlace.objects.exists()

    anna.starts(4)
    anna.click(bar(page, one))
    why = page.locator('tr.evening-row[data-fit="never"] .evening-why, tr.evening-row[data-fit="taken"] .evening-why')
    expect(why.first).to_contain_text(re.compile(r"\w+ \w+"))

    small = Assignment.objects.filter(state="confirmed", party=2, starts_at__gt=tonight + timedelta(minutes=20))
    models.Table.objects.filter(code="D1-T05").update(active=False)
    anna.starts(5)
    anna.click(bar(page, small.order_by("starts_at", "pk")[0]))
    anna.table("D1-T05")
    anna.click(page.locator(".evening-preview").get_by_role("button", name="Move anyway"))
    said(page, "D1-T05")
    models.Table.objects.filter(code="D1-T05").update(active=True)
    api.undo(booking_ref=small.order_by("starts_at", "pk")[0].booking_ref, actor="staff:1")

    at_table(one, "D1-T04"), at_table(other, "D1-T05")
    anna.starts(7)
    anna.click(bar(page, one))
    anna.table("D1-T05")
    anna.click(page.locator(".evening-preview").get_by_role("button", name="Swap with"))
    said(page, "now")
    assert (tables_of(one), tables_of(other)) == ("D1-T05", "D1-T04")

    anna.starts(6)
    anna.click(bar(page, one))
    anna.table("D1-T04")
    anna.click(page.locator(".evening-preview").get_by_role("button", name="Move both"))
    said(page, "was moved to")
    assert tables_of(one) == "D1-T04"

    for task, name, done in ((8, "Pin", "is pinned"), (9, "Free tables", "is planned again")):
        anna.starts(task)
        anna.click(bar(page, other))
        anna.click(panel.get_by_role("button", name=name).first)
        said(page, done)

    for name, stage in (
        ("Late", Stage.LATE),
        ("Arrived", Stage.ARRIVED),
        ("Seated", Stage.SEATED),
        ("Left", Stage.LEFT),
    ):
        anna.starts(10)
        anna.click(bar(page, one))
        anna.click(panel.get_by_role("button", name=name, exact=True).first)
        assert_stage(one, stage)
        if stage is Stage.ARRIVED:
            anna.starts(11)
            anna.click(bar(page, one))
            anna.click(panel.get_by_role("button", name="+15 min").first)
            said(page, "stays until")
    missed = Assignment.objects.filter(state="confirmed", stage=Stage.EXPECTED, starts_at__lt=tonight)
    absent = missed.order_by("-starts_at", "pk")[0]
    anna.starts(10)
    anna.click(bar(page, absent))
    anna.click(panel.get_by_role("button", name="No-show").first)
    assert_stage(absent, Stage.NO_SHOW)

    longer = conflicting(tonight)
    anna.starts(12)
    red = bar(page, longer)
    expect(red.locator(".timeline-box.evening-trouble")).to_be_attached()
    anna.click(red)
    expect(panel.locator(".evening-wrong").first).to_contain_text("The other booking")
    anna.click(panel.get_by_role("button", name="Seat at").first)
    said(page, f"Booking {longer.booking_ref} has")
    expect(bar(page, longer).locator(".timeline-box.evening-trouble")).to_have_count(0)
    longer.refresh_from_db()
    assert longer.state == "confirmed"
    assert not ledger.sharing_tables(ledger.seatings_of([longer.booking_ref])[longer.booking_ref])

    anna.starts(13)
    anna.link("Walk-in", exact=True)
    anna.fill(page.get_by_label("Guests", exact=True), "4")
    anna.button("Seat now")
    expect(message).to_contain_text(re.compile("sit at|No table is free"))

    free = str(models.Table.objects.get(code="D2-T01").pk)
    waiting = Assignment.objects.filter(state="assignment_pending", starts_at__gt=tonight).order_by("starts_at", "pk")
    held = hold_one(list(waiting), free)
    anna.starts(14)
    anna.click(bar(page, held))
    anna.button("Release hold")
    said(page, "is released")

    anna.starts(15)
    anna.click(row(page, "D2-T01").locator("a.evening-table"))
    anna.button("Close the table")
    said(page, "closed")
    closure = Closure.objects.get()
    anna.click(page.locator(f'.evening-bar[data-closure="{closure.pk}"]'))
    anna.click(panel.get_by_role("button", name="min").first)
    said(page, "Closed from")
    assert closure.ends_at is not None
    assert Closure.objects.get().ends_at == closure.ends_at - timedelta(minutes=15)

    anna.starts(19)
    undoable, newcomer = taken_meanwhile(tonight)
    open_evening(page)
    anna.click(bar(page, undoable))
    expect(panel.locator(".evening-wrong").last).to_contain_text(f"booking {newcomer}")
    expect(panel.locator(".evening-wrong").last).to_contain_text("The next best tables are below.")

    anna.starts(2)
    anna.link("Without a table")
    first = page.locator("ul.evening-waiting li").filter(has_text="Can be seated now.").first
    anna.click(first.get_by_role("button", name="Seat at"))
    said(page, "now")

    anna.starts(17)
    anna.click(page.locator("#evening-more summary"))
    anna.button("Freeze the evening")
    said(page, "frozen")
    assert FrozenEvening.objects.count() == 1

    anna.starts(16)
    zone = page.locator("tbody[data-zone]").first
    anna.click(zone.get_by_role("link", name="Close the zone"))
    anna.button("Close the zone")
    said(page, "The zone is closed.")
    anna.click(zone.locator(".evening-bar[data-closure]").first)
    anna.click(panel.get_by_role("button", name="Lift the closure"))
    said(page, "lifted")
    anna.click(page.locator("#evening-more summary"))
    anna.link("Close the restaurant")
    anna.button("Close the restaurant", within="#evening-panel")
    said(page, "The restaurant is closed.")
    anna.click(message.get_by_role("button", name="Lift the closure"))
    said(page, "lifted")
    assert Closure.objects.exclude(lifted_at=None).count() == 2

    anna.starts(20)
    anna.click(page.locator("#evening-more summary"))
    anna.link("Day sheet")
    page.evaluate("window.print = () => {}")
    anna.click(page.get_by_role("button", name="Print", exact=True))
    anna.button("It was printed", within="body")
    expect(page.get_by_text("▲ marks what has changed since")).to_be_visible()
    assert StaffAction.objects.filter(what="printed", restaurant_ref=str(restaurant.pk)).count() == 1

    compare_or_write("A manager's evening", anna.steps)


def width_of(what: Locator) -> float:
    box = what.bounding_box()
    assert box is not None
    return box["width"]


def assert_stage(booking: Assignment, stage: Stage) -> None:
    """Wait until the guests are at that stage."""
    for _try in range(100):
        if stage_of(booking) == stage:
            return
        time.sleep(0.1)
    raise AssertionError(f"They are {stage_of(booking)}, not {stage}.")


def conflicting(tonight: datetime) -> Assignment:
    """The next booking at a table whose guests stay longer: it is pinned there, and now in review."""
    there = Allocation.objects.current().filter(
        kind=Allocation.Kind.SEATING, starts_at__lt=tonight, ends_at__gt=tonight + timedelta(minutes=10)
    )
    for seating in there.order_by("ends_at", "pk"):
        after = Allocation.objects.current().filter(table_ref=seating.table_ref, starts_at__gte=seating.ends_at)
        following = after.order_by("starts_at").first()
        if following is None or following.starts_at > seating.ends_at + timedelta(minutes=60):
            continue
        row_ = Assignment.objects.get(booking_ref=seating.booking_ref)
        if row_.stage != Stage.EXPECTED or row_.state != "confirmed":
            continue
        api.seated(booking_ref=row_.booking_ref, actor="staff:1")
        tables = (
            Allocation.objects.current().filter(booking_ref=following.booking_ref).values_list("table_ref", flat=True)
        )
        api.pin(booking_ref=following.booking_ref, table_refs=list(tables), actor="staff:1")
        api.extend(booking_ref=row_.booking_ref, until=following.starts_at + timedelta(minutes=30), actor="staff:1")
        review = Assignment.objects.filter(
            booking_ref__in=[row_.booking_ref, following.booking_ref], state="manual_review"
        ).first()
        if review is not None:
            return review
    raise AssertionError("Nobody's longer stay disturbs anybody.")


def hold_one(waiting: list[Assignment], table: str) -> Assignment:
    for each in waiting:
        try:
            api.hold(booking_ref=each.booking_ref, table_refs=[table], seconds=600)
        except Exception:  # noqa: BLE001  (the next one may fit)
            continue
        return each
    raise AssertionError("No booking can be held there.")


def taken_meanwhile(tonight: datetime) -> tuple[Assignment, str]:
    """A booking that was moved, and the one that has its old table by now."""
    expected = Assignment.objects.filter(
        state="confirmed", stage=Stage.EXPECTED, party__lte=4, starts_at__gt=tonight + timedelta(minutes=15)
    )
    tables = models.Table.objects.filter(seats=4).order_by("code")
    for one in expected.order_by("starts_at", "pk"):
        was = tables_of(one)
        if not was or "+" in was:
            continue
        for table in tables.exclude(code=was):
            if api.judge(booking_ref=one.booking_ref, table_refs=[str(table.pk)]):
                continue
            api.move(booking_ref=one.booking_ref, table_refs=[str(table.pk)], actor="staff:1")
            seating = Allocation.objects.current().filter(booking_ref=one.booking_ref)[0]
            old = models.Table.objects.get(code=was)
            newcomer = models.Booking.objects.create(
                restaurant=old.restaurant, reference="late one", start=seating.starts_at, party=min(4, old.seats)
            )
            ref = str(newcomer.pk)
            api.request(booking_ref=ref)
            api.assign(booking_ref=ref, table_refs=[str(old.pk)], actor="staff:1")
            return one, ref
    raise AssertionError("Nobody can be moved.")


def first_page(page: Page) -> None:
    page.goto("/admin/")


def test_an_operator_works_a_shift(page: Page, everything: models.Restaurant) -> None:
    ben = Person(page, first_page)
    content = page.locator("#content")

    ben.starts(1)
    health = page.locator(".first-page-cards li").filter(has=page.get_by_role("link", name="Health"))
    expect(health).to_have_class("page-fail")
    expect(health).to_contain_text("no run has succeeded yet")
    a_run()
    ben.starts(1)
    expect(health).to_have_class("page-pass")
    expect(health).not_to_contain_text("behind")

    ben.starts(2)
    expect(page.locator(".first-page-cards li").filter(has_text="Review queue")).to_contain_text(re.compile(r"\d"))
    ben.click(page.locator(".first-page-cards").get_by_role("link", name="Review queue"))
    expect(content).to_contain_text("Needs decision")

    ben.starts(3)
    ben.click(page.locator(".first-page-cards").get_by_role("link", name="Rollout"))
    expect(page.locator("#headline")).to_contain_text(re.compile("shadow", re.IGNORECASE))
    expect(content).to_contain_text("V3 decides for")

    ben.starts(4)
    ben.click(page.locator(".first-page-cards").get_by_role("link", name="Rollout"))
    expect(content).to_contain_text(re.compile("too little data|lacks? data", re.IGNORECASE))

    ben.starts(5, anew=False)
    expect(content.get_by_role("link", name=re.compile("Promote to"))).to_be_visible()
    expect(content).to_contain_text(re.compile("too little data|lacks? data", re.IGNORECASE))

    ben.starts(6, anew=False)
    for name in ("Pause", "Resume"):
        ben.click(content.get_by_role("link", name=f"{name}…"))
        ben.fill(page.get_by_label("Reason"), "the floor is being painted")
        ben.click(content.get_by_role("button", name=name))
        expect(content.get_by_role("row", name="the floor is being painted").first).to_be_visible()

    steering.unforce_planner(restaurant_ref=str(everything.pk), actor="staff:1", reason="before the test")
    ben.starts(8, anew=False)
    ben.click(content.get_by_role("link", name="Force a planner…"))
    ben.fill(page.get_by_label("Restaurant"), str(everything.pk))
    ben.choose(page.get_by_label("Planner"), "v3")
    ben.fill(page.get_by_label("Reason"), "they asked for it")
    ben.click(content.locator("form").get_by_role("button").last)
    expect(content.get_by_role("row", name="they asked for it").first).to_be_visible()

    ben.starts(7, anew=False)
    ben.click(content.get_by_role("link", name="Roll back…"))
    ben.fill(page.get_by_label("Reason"), "the floor staff complain")
    ben.click(content.get_by_role("button", name="Roll back"))
    expect(content.get_by_role("row", name="the floor staff complain").first).to_be_visible()
    position = steering.current()
    assert position is not None
    assert position.stage == "off"

    ben.starts(9)
    ben.link("Comparisons", exact=True)
    ben.click(page.locator("#result_list tbody tr th a").first)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert Comparison.objects.exists()

    asked = Assignment.objects.filter(state="manual_review").order_by("starts_at", "pk")[0]
    newcomer = models.Booking.objects.create(
        restaurant=everything, reference="undecided", start=asked.starts_at, party=2
    )
    api.request(booking_ref=str(newcomer.pk))
    ben.starts(10)
    ben.click(page.locator(".first-page-cards").get_by_role("link", name="Service timeline"))
    ben.link("Without a table")
    label, ref = f"Booking {newcomer.pk}", str(newcomer.pk)
    undecided = page.locator("ul.evening-waiting li").filter(has_text=label)
    assert not Assignment.objects.get(booking_ref=ref).is_terminal
    ben.click(undecided.get_by_role("button", name="Seat at"))
    expect(page.locator("#evening-said")).to_contain_text(f"{label} has")
    assert Assignment.objects.get(booking_ref=ref).state == "confirmed"

    booking = Assignment.objects.filter(state="confirmed").order_by("pk")[0]
    ben.starts(11)
    ben.click(page.locator(".first-page-cards").get_by_role("link", name="Service timeline"))
    ben.link("Find", exact=True)
    ben.fill(page.get_by_label(re.compile("Label")), f"Booking {booking.booking_ref}")
    ben.click(content.get_by_role("button", name="Find"))
    expect(page.locator(".search-found")).to_contain_text(f"Booking {booking.booking_ref}")
    models.Booking.objects.filter(pk=int(booking.booking_ref)).update(guest_name="Augusta Lovelace")
    ben.fill(page.get_by_label(re.compile("Label")), "lovelace")
    ben.click(content.get_by_role("button", name="Find"))
    expect(page.locator(".search-found")).to_contain_text("Augusta Lovelace")
    expect(page.locator(".search-found")).to_contain_text(f"Booking {booking.booking_ref}")

    ben.starts(12)
    ben.click(page.locator(".first-page-cards").get_by_role("link", name="Events"))
    labelled = page.locator("td a", has_text=re.compile(r"^Booking \d+$"))
    of_bookings = page.locator("#result_list tbody tr").filter(has=labelled)
    ben.click(of_bookings.first.locator("a").first)
    ben.click(content.locator("dl.page-facts a").first)
    expect(page.get_by_role("heading", name="State history")).to_be_visible()

    compare_or_write("An operator's shift", ben.steps)
