"""The evening, worked from its page: by mouse, by keyboard and by touch, by two people at once, and without a connection."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import Count
from playwright.sync_api import Browser, Locator, Page, expect

from assignments import api
from assignments.models import Allocation, Assignment, Closure, FrozenEvening, StaffAction, Stage
from example import models
from tests.browser.browsing import DESKTOP, PHONE, expect_text, visiting
from tests.browser.test_every_page import findings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

TIMELINE = "/admin/assignments/serviceday/"
TABLES = "#evening-grid tr.evening-row"


def open_evening(page: Page) -> None:
    page.goto(TIMELINE)
    page.locator("#evening[data-ready]").wait_for()


def coming(tonight: datetime, number: int = 0) -> Assignment:
    """A booking for four at one table, within the next two hours."""
    single = (
        Allocation.objects.values("booking_ref").annotate(many=Count("pk")).filter(many=1).values_list("booking_ref")
    )
    rows = Assignment.objects.filter(
        booking_ref__in=[ref for (ref,) in single],
        state="confirmed",
        party=4,
        starts_at__range=(tonight + timedelta(minutes=15), tonight + timedelta(minutes=70)),
    )
    return rows.order_by("starts_at", "pk")[number]


def bar(page: Page, assignment: Assignment) -> Locator:
    return page.locator(f'.evening-bar[data-booking="{assignment.pk}"]').first


def row(page: Page, code: str) -> Locator:
    return page.locator(TABLES).filter(has=page.locator("a.evening-table", has_text=code))


def select(page: Page, assignment: Assignment) -> None:
    bar(page, assignment).click()
    expect_text(page.locator("#evening-panel-title"), f"Booking {assignment.booking_ref}")


def tables_of(assignment: Assignment) -> str:
    refs = Allocation.objects.current().filter(booking_ref=assignment.booking_ref).values_list("table_ref", flat=True)
    codes = models.Table.objects.filter(pk__in=[int(ref) for ref in refs]).values_list("code", flat=True)
    return " + ".join(sorted(codes))


def somebody_sits_at(code: str, moment: datetime) -> bool:
    ref = str(models.Table.objects.get(code=code).pk)
    return Allocation.objects.current().filter(table_ref=ref, blocked__contains=moment).exists()


def stage_of(assignment: Assignment) -> str:
    return str(Assignment.objects.get(pk=assignment.pk).stage)


def press(page: Page, name: str) -> None:
    page.locator("#evening-panel").get_by_role("button", name=name).first.click()


def said(page: Page, text: str) -> None:
    expect_text(page.locator("#evening-said"), text)


def poll_twice(page: Page) -> None:
    """Wait until the page has asked twice what others did; it asks again only when it has shown the answer."""
    for _poll in range(2):
        with page.expect_response(lambda answer: "part=live" in answer.url):
            pass


def opened(page: Page, size: tuple[int, int]) -> None:
    """Open the evening in a window of this size; its tables are near the top."""
    width, height = size
    page.set_viewport_size({"width": width, "height": height})
    open_evening(page)
    top = page.locator("#content").bounding_box()
    first = page.locator(TABLES).first.bounding_box()
    assert top is not None
    assert first is not None
    assert first["y"] - top["y"] <= 200


def test_it_opens_on_tonight_at_the_current_time_with_everything_at_hand_on_a_tablet_and_a_phone_too(
    page: Page, tonight: datetime
) -> None:
    opened(page, DESKTOP)
    now = page.locator("line.timeline-now").first
    expect(now).to_be_attached()
    assert page.locator(".evening-scroll").evaluate("(each) => each.scrollLeft") > 0

    opened(page, PHONE)
    width, height = PHONE
    page.get_by_role("link", name="Walk-in").scroll_into_view_if_needed()
    page.locator("#evening-more > summary").click()
    more = page.locator("#evening-more > div").bounding_box()
    assert more is not None
    assert more["x"] >= 0
    assert more["x"] + more["width"] <= width
    assert more["y"] + more["height"] <= height

    opened(page, (1024, 768))
    select(page, coming(tonight))
    box, top = page.locator("#evening-grid").bounding_box(), page.locator("#content").bounding_box()
    first = page.locator(TABLES).first.bounding_box()
    assert box is not None
    assert top is not None
    assert first is not None
    assert box["width"] > 600
    assert first["y"] - top["y"] <= 200


def test_a_booking_is_moved_by_a_click_on_a_row_and_back_by_undo(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    before = tables_of(booking)
    open_evening(page)
    select(page, booking)
    free = row(page, "D1-T05")
    expect(free).to_have_attribute("data-fit", "fits")
    taken = row(page, before)
    expect(taken).to_have_attribute("data-fit", "here")
    free.locator("th").click(position={"x": 5, "y": 40})
    said(page, "D1-T05")
    assert tables_of(booking) == "D1-T05"
    page.locator("#evening-said").get_by_role("button", name="Move back").click()
    said(page, "Undone")
    assert tables_of(booking) == before


def test_a_booking_is_dragged_to_another_table_and_its_end_to_another_time(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    open_evening(page)
    grip(page, bar(page, booking), row(page, "D1-T05"))
    said(page, "D1-T05")
    assert tables_of(booking) == "D1-T05"
    ends = Allocation.objects.current().get(booking_ref=booking.booking_ref).ends_at
    end = bar(page, booking).locator(".evening-grip")
    end.scroll_into_view_if_needed()
    box = end.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 20, steps=4)
    page.mouse.move(box["x"] + 5 + 2.6 * 20, box["y"] + 20, steps=4)
    page.mouse.up()
    said(page, "stays until")
    assert ends < Allocation.objects.current().get(booking_ref=booking.booking_ref).ends_at


def test_a_drag_whose_panel_cannot_be_loaded_moves_nobody(page: Page, tonight: datetime) -> None:
    shown, dragged = coming(tonight, 0), coming(tonight, 1)
    before = tables_of(shown), tables_of(dragged)
    open_evening(page)
    select(page, shown)
    page.route("**/serviceday/?*part=panel*", lambda route: route.abort("failed"))
    grip(page, bar(page, dragged), row(page, "D1-T05"))
    page.locator("#evening-offline").wait_for()
    page.unroute("**/serviceday/?*part=panel*")
    select(page, dragged)
    assert (tables_of(shown), tables_of(dragged)) == before
    assert not StaffAction.objects.exists()
    assert f"booking={dragged.pk}" in page.url


def grip(page: Page, what: Locator, where: Locator) -> None:
    what.scroll_into_view_if_needed()
    start, end = what.bounding_box(), where.bounding_box()
    assert start is not None
    assert end is not None
    x = start["x"] + 30
    page.mouse.move(x, start["y"] + 20)
    page.mouse.down()
    page.mouse.move(x, start["y"] + 40, steps=4)
    page.mouse.move(x, end["y"] + 20, steps=6)
    page.mouse.up()


def test_a_taken_table_says_who_would_move_before_anybody_does(page: Page, tonight: datetime) -> None:
    one, other = coming(tonight, 0), coming(tonight, 1)
    first, second = "D1-T04", "D1-T05"
    for each, code in ((one, first), (other, second)):
        table = str(models.Table.objects.get(code=code).pk)
        api.move(booking_ref=each.booking_ref, table_refs=[table], actor="staff:1")
    open_evening(page)
    select(page, one)
    row(page, second).locator("th").click(position={"x": 5, "y": 40})
    preview = page.locator(".evening-preview")
    expect_text(preview, f"Booking {other.booking_ref} has it then.")
    assert (tables_of(one), tables_of(other)) == (first, second)
    preview.get_by_role("button", name="Swap with").click()
    said(page, "now")
    assert (tables_of(one), tables_of(other)) == (second, first)
    press(page, "Swap back")
    said(page, "Undone")
    assert (tables_of(one), tables_of(other)) == (first, second)
    row(page, second).locator("th").click(position={"x": 5, "y": 40})
    page.locator(".evening-preview").get_by_role("button", name="Move both").click()
    said(page, "was moved to")
    assert tables_of(one) == second
    assert tables_of(other) not in {first, second, ""}


def test_a_rule_is_passed_over_by_name_and_impossible_tables_say_why(page: Page, tonight: datetime) -> None:
    small = Assignment.objects.filter(state="confirmed", party=2, starts_at__gt=tonight + timedelta(minutes=20))
    booking = small.order_by("starts_at", "pk")[0]
    models.Table.objects.filter(code="D1-T05").update(active=False)
    open_evening(page)
    select(page, booking)
    target = row(page, "D1-T05")
    expect(target).to_have_attribute("data-fit", "despite")
    target.locator("th").click(position={"x": 5, "y": 40})
    page.locator(".evening-preview").get_by_role("button", name="Move anyway").click()
    said(page, "D1-T05")
    assert tables_of(booking) == "D1-T05"


def test_guests_arrive_sit_stay_longer_and_leave(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    open_evening(page)
    select(page, booking)
    press(page, "Late")
    said(page, "late")
    press(page, "Arrived")
    said(page, "arrived")
    assert stage_of(booking) == Stage.ARRIVED
    press(page, "Undo the last stage")
    said(page, "Undone")
    assert stage_of(booking) == Stage.LATE
    press(page, "+15 min")
    said(page, "stays until")
    press(page, "Pin")
    said(page, "is pinned")
    press(page, "Unpin")
    said(page, "no longer pinned")
    press(page, "Free tables")
    said(page, "free")
    assert tables_of(booking) == ""


def test_it_is_worked_by_keyboard_alone(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    before = tables_of(booking)
    open_evening(page)
    stops = page.locator("#evening-grid .evening-bar[tabindex='0'], #evening-grid a.evening-table[tabindex='0']")
    expect(stops).to_have_count(1)
    stops.focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".evening-bar:focus")).to_have_count(1)
    bar(page, booking).focus()
    page.keyboard.press("Enter")
    expect_text(page.locator("#evening-panel-title"), booking.booking_ref)
    page.keyboard.press("m")
    expect(page.locator("a.evening-table:focus")).to_have_count(1)
    target = page.locator("tr.evening-row:has(a.evening-table:focus)").get_attribute("data-table")
    page.keyboard.press("Enter")
    said(page, "now")
    assert Allocation.objects.current().get(booking_ref=booking.booking_ref).table_ref == target
    bar(page, booking).focus()
    page.keyboard.press("u")
    said(page, "Undone")
    assert tables_of(booking) == before
    page.keyboard.press("a")
    said(page, "arrived")
    assert stage_of(booking) == Stage.ARRIVED
    page.keyboard.press("s")
    said(page, "is still taken by booking" if somebody_sits_at(before, tonight) else "seated")
    page.keyboard.press("Escape")
    expect(page.locator(".evening-panel-in")).to_have_count(0)
    expect(page.locator(".evening-bar:focus")).to_have_count(1)
    page.keyboard.press("?")
    expect(page.get_by_text("choose a table for the selected booking")).to_be_visible()


def test_a_walk_in_gets_the_best_table_or_is_told_the_wait(page: Page, tonight: datetime) -> None:
    open_evening(page)
    page.get_by_role("link", name="Walk-in", exact=True).click()
    page.get_by_label("Guests").fill("4")
    page.get_by_role("button", name="Seat now").click()
    said(page, "4 guests without a booking sit at")
    assert Assignment.objects.filter(booking_ref__startswith="walk-in:", stage=Stage.SEATED).count() == 1
    page.get_by_role("link", name="Walk-in", exact=True).click()
    page.get_by_label("Guests").fill("9")
    page.get_by_role("button", name="Seat now").click()
    said(page, "No table is free for 9 now")
    assert Assignment.objects.filter(booking_ref__startswith="walk-in:").count() == 1


def test_a_booking_without_a_table_is_seated_with_one_button(page: Page, tonight: datetime) -> None:
    open_evening(page)
    page.get_by_role("link", name="Without a table").click()
    first = page.locator("ul.evening-waiting li").first
    expect_text(first, "Can be seated now.")
    name = first.locator("a").first.inner_text().split(" · ")[0].removeprefix("Booking ")
    first.get_by_role("button", name="Seat at").click()
    said(page, "now")
    assert Assignment.objects.get(booking_ref=name).state == "confirmed"


def test_tables_close_and_open_and_the_evening_freezes(page: Page, tonight: datetime) -> None:
    open_evening(page)
    row(page, "D1-T05").locator("a.evening-table").click()
    page.get_by_label("Reason").fill("wobbles")
    page.get_by_role("button", name="Close the table").click()
    said(page, "D1-T05: closed.")
    closure = Closure.objects.get()
    assert closure.reason == "wobbles"
    page.locator("#evening-said").get_by_role("button", name="Lift the closure").click()
    said(page, "lifted")
    page.locator("#evening-said").get_by_role("button", name="Close it again").click()
    said(page, "D1-T05: closed.")
    again = Closure.objects.not_lifted().get()
    assert closure.ends_at is not None
    assert (again.reason, again.ends_at) == (closure.reason, closure.ends_at.replace(microsecond=0))
    page.locator(f'.evening-bar[data-closure="{again.pk}"]').first.click()
    page.locator("#evening-panel").get_by_role("button", name="Lift the closure").click()
    said(page, "lifted")
    page.locator("tbody[data-zone]").first.get_by_role("link", name="Close the zone").click()
    page.get_by_role("button", name="Close the zone").click()
    said(page, "The zone is closed.")
    page.locator("#evening-more summary").click()
    page.get_by_role("button", name="Freeze the evening").click()
    said(page, "frozen")
    assert FrozenEvening.objects.count() == 1


def test_a_closure_gets_other_times_by_keyboard_by_its_fields_and_by_dragging_and_they_are_taken_back(
    page: Page, tonight: datetime
) -> None:
    table = str(models.Table.objects.get(code="D1-T05").pk)
    starts, ends = tonight + timedelta(minutes=30), tonight + timedelta(minutes=90)
    restaurant = str(models.Restaurant.objects.get().pk)
    pk = api.close(restaurant_ref=restaurant, table_refs=[table], starts_at=starts, ends_at=ends, actor="host")

    def times() -> tuple[datetime, datetime | None]:
        closure = Closure.objects.get(pk=pk)
        return closure.starts_at, closure.ends_at

    def drag(selector: str, minutes: int) -> None:
        end = closed.locator(selector)
        left = int(end.get_attribute("x") or 0) - 300  # Beside the names of the tables, which stay where they are.
        page.locator(".evening-scroll").evaluate("(each, left) => { each.scrollLeft = left; }", left)
        box = end.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 5, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 5 + 2.6 * minutes, box["y"] + 20, steps=4)
        page.mouse.up()

    open_evening(page)
    closed = page.locator(f'.evening-bar[data-closure="{pk}"]')
    closed.focus()
    page.keyboard.press("Enter")
    expect_text(page.locator("#evening-panel-title"), "Closed: D1-T05")
    page.keyboard.press("+")
    said(page, "Closed from")
    assert times() == (starts, ends + timedelta(minutes=15))
    page.keyboard.press("u")
    expect_text(page.locator("#evening-said"), f"{ends:%H:%M}")
    assert times() == (starts, ends)

    drag(".evening-grip:not(.evening-grip-start)", 40)
    said(page, f"{ends + timedelta(minutes=40):%H:%M}")
    drag(".evening-grip-start", -20)
    said(page, f"{starts - timedelta(minutes=20):%H:%M}")
    assert times() == (starts - timedelta(minutes=20), ends + timedelta(minutes=40))
    assert f"closure={pk}" in page.url
    page.locator("#evening-said").get_by_role("button", name="Undo the new times").click()
    expect_text(page.locator("#evening-said"), f"{starts:%H:%M} until")
    assert times() == (starts, ends + timedelta(minutes=40))

    begins, until = page.get_by_label("From, time"), page.get_by_label("Until, time")
    until.fill(f"{tonight - timedelta(minutes=10):%H:%M}")
    until.press("Enter")
    said(page, "cannot end in the past")
    begins.fill(f"{starts + timedelta(minutes=200):%H:%M}")
    begins.press("Enter")
    said(page, "must end after it begins")
    until.fill("")
    page.get_by_label("Until, date").fill("")
    until.press("Enter")
    said(page, "until further notice")
    assert times() == (starts, None)


def test_more_closes_once_something_is_chosen_and_by_escape_and_zones_stay_folded(
    page: Page, tonight: datetime
) -> None:
    open_evening(page)
    more = page.locator("#evening-more")
    chosen = more.get_by_role("link", name="Close the restaurant")
    for way in ("a choice", "Escape", "a press beside it"):
        more.locator("summary").click()
        expect(more).to_have_attribute("open", "")
        if way == "a choice":
            chosen.click()
        elif way == "Escape":
            page.keyboard.press("Escape")
        else:
            page.locator(".breadcrumbs").click(position={"x": 600, "y": 8})
        expect(more).not_to_have_attribute("open", "")
        expect(page.locator("#evening-panel-title")).to_have_text("The whole restaurant")

    fold = page.locator(".evening-fold").first
    rows = page.locator("tbody[data-zone]").first.locator("tr.evening-row")
    fold.click()
    expect(rows.first).to_be_hidden()
    page.reload()
    expect(rows.first).to_be_hidden()


@pytest.mark.usefixtures("haste")
def test_of_two_people_each_sees_what_the_other_does_and_nobody_overwrites(
    browser: Browser, live_server: Any, page: Page, tonight: datetime, staff: Any
) -> None:
    booking = coming(tonight)
    other = staff("anna", "assignments.view_serviceday", "assignments.assign")
    wrong_clock = page.add_init_script("const now = Date.now; Date.now = () => now() + 9e9;")
    with wrong_clock, visiting(browser, live_server.url, other) as second:
        open_evening(page)
        open_evening(second)
        select(second, booking)
        form = second.locator("#evening-panel form[data-to]").first
        stale = form.evaluate("(form) => Object.fromEntries(new FormData(form))")
        page.get_by_role("link", name="Walk-in", exact=True).click()
        page.get_by_label("Guests").fill("3")
        press(second, "Arrived")
        said(second, "arrived")
        news = page.locator("#evening-news .evening-news")
        expect_text(news, "was noted as arrived by anna")
        # Its age is right though this device's clock is not.
        expect(news).to_be_visible()
        expect(news).to_contain_text(re.compile(r" [0-9] s ago"))
        expect(page.get_by_label("Guests")).to_have_value("3")
        select(page, booking)
        answer = page.evaluate(
            """async ([url, form]) => {
              const data = new FormData();
              for (const [name, value] of Object.entries(form)) data.set(name, value);
              data.set("csrfmiddlewaretoken", document.querySelector("input[name=csrfmiddlewaretoken]").value);
              const answer = await fetch(url, { method: "POST", body: data, headers: { "X-Evening": "1" } });
              return answer.text();
            }""",
            [form.get_attribute("action"), stale],
        )
        assert "Nothing was changed" in answer
        assert "by anna" in answer
    assert stage_of(booking) == Stage.ARRIVED


def test_without_a_connection_nothing_can_be_pressed_and_what_was_sent_acts_once(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    open_evening(page)
    select(page, booking)
    # The server acts, and the answer is lost on its way.
    page.route("**/act/arrived/**", lambda route: (route.fetch(), route.abort("failed")))
    press(page, "Arrived")
    page.locator("#evening-offline").wait_for()
    expect(page.locator("#evening-panel").get_by_role("button", name="Seated")).to_be_disabled()
    assert stage_of(booking) == Stage.ARRIVED
    page.unroute("**/act/arrived/**")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    other = coming(tonight, 1)
    grip(page, bar(page, other), row(page, "D1-T05"))
    expect_text(page.locator("#evening-panel-title"), f"Booking {other.booking_ref}")
    page.get_by_role("button", name="Send it again").click()
    said(page, "This was done already")
    expect(page.locator("#evening-offline")).to_be_hidden()
    assert StaffAction.objects.filter(what="arrived").count() == 1
    assert [url for url in sent if "/act/arrived/" not in url] == []
    assert len(sent) == 1
    assert tables_of(other) != "D1-T05"
    # The page shows the booking that the form was about, and its address says so.
    expect_text(page.locator("#evening-panel-title"), f"Booking {booking.booking_ref}")
    assert f"booking={booking.pk}" in page.url


def test_a_connection_that_never_answers_is_said_and_what_was_sent_acts_once(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    open_evening(page)
    select(page, booking)
    page.locator("#evening").evaluate("(each) => { each.dataset.patience = 2000; }")
    # The server acts, and nothing comes back: neither an answer nor an error.
    page.route("**/serviceday/**", lambda route: route.fetch() if "/act/" in route.request.url else None)
    press(page, "Arrived")
    panel = page.locator("#evening-panel")
    panel.get_by_role("button", name="Pin", exact=True).click(force=True)
    page.locator("#evening-sending").wait_for()
    page.locator("#evening-offline").wait_for()
    expect(page.locator("#evening-sending")).to_be_hidden()
    expect(panel.get_by_role("button", name="Seated")).to_be_disabled()
    page.unroute("**/serviceday/**")
    page.get_by_role("button", name="Send it again").click()
    said(page, "This was done already")
    expect(page.locator("#evening-offline")).to_be_hidden()
    assert list(StaffAction.objects.values_list("what", flat=True)) == ["arrived"]


@pytest.mark.usefixtures("haste")
def test_a_poll_that_is_never_answered_says_that_there_is_no_connection(page: Page, tonight: datetime) -> None:
    open_evening(page)
    page.locator("#evening").evaluate("(each) => { each.dataset.patience = 200; }")
    page.route("**/serviceday/?*part=live*", lambda route: None)
    page.locator("#evening-offline").wait_for()
    expect(page.get_by_role("button", name="Send it again")).to_be_hidden()
    page.locator("#evening").evaluate("(each) => { each.dataset.patience = 8000; }")
    page.unroute("**/serviceday/?*part=live*")
    expect(page.locator("#evening-offline")).to_be_hidden()


def test_offline_nothing_can_be_pressed_until_the_connection_is_back(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    open_evening(page)
    select(page, booking)
    page.context.set_offline(True)
    page.locator("#evening-offline").wait_for()
    button = page.locator("#evening-panel").get_by_role("button", name="Arrived")
    expect(button).to_be_disabled()
    page.keyboard.press("a")
    bar(page, coming(tonight, 1)).click()
    page.locator("#evening-offline").wait_for()
    page.context.set_offline(False)
    expect(page.locator("#evening-offline")).to_be_hidden()
    assert stage_of(booking) == Stage.EXPECTED
    press(page, "Arrived")
    said(page, "arrived")


def test_on_a_phone_the_panel_covers_no_message(
    browser: Browser, live_server: Any, admin_user: Any, tonight: datetime
) -> None:
    booking = coming(tonight)
    with visiting(browser, live_server.url, admin_user, size=PHONE) as page:
        open_evening(page)
        select(page, booking)
        page.evaluate("scrollTo(0, 0)")
        press(page, "Arrived")
        said(page, "arrived")
        is_on_top = """(each) => {
            const box = each.getBoundingClientRect();
            return each.contains(document.elementFromPoint(box.left + 20, box.top + 20));
        }"""
        assert page.locator("#evening-said .evening-message").evaluate(is_on_top)
        page.context.set_offline(True)
        page.locator("#evening-offline").wait_for()
        assert page.locator("#evening-offline").evaluate(is_on_top)
        page.context.set_offline(False)
        expect(page.locator("#evening-offline")).to_be_hidden()


def test_the_open_lane_stays_open_when_a_stay_or_a_closure_is_dragged(page: Page, tonight: datetime) -> None:
    booking, restaurant = coming(tonight), models.Restaurant.objects.get()
    table = str(restaurant.tables.get(code="D2-T01").pk)
    starts, ends = tonight + timedelta(minutes=30), tonight + timedelta(minutes=60)
    closure = api.close(restaurant_ref=str(restaurant.pk), table_refs=[table], starts_at=starts, ends_at=ends)
    open_evening(page)
    page.get_by_role("link", name="Without a table").click()
    lane = page.locator("ul.evening-waiting")
    lane.wait_for()
    pull(page, bar(page, booking))
    said(page, "stays until")
    lane.wait_for()
    assert "waiting=1" in page.url
    pull(page, page.locator(f'.evening-bar[data-closure="{closure}"]'))
    said(page, "Closed from")
    lane.wait_for()


@pytest.mark.usefixtures("haste")
def test_the_open_lane_stays_where_it_was_scrolled_to_when_others_change_the_evening(
    page: Page, tonight: datetime
) -> None:
    booking = coming(tonight)
    page.set_viewport_size({"width": 1200, "height": 200})
    open_evening(page)
    page.get_by_role("link", name="Without a table").click()
    lane = page.locator("ul.evening-waiting")
    assert lane.evaluate("(each) => { each.scrollTop = 30; return each.scrollTop; }") == 30
    api.booking_cancelled(booking_ref=booking.booking_ref)
    expect(bar(page, booking)).to_have_count(0)
    assert lane.evaluate("(each) => each.scrollTop") == 30


def pull(page: Page, what: Locator, minutes: int = 20) -> None:
    """Drag the end of a bar to a later time."""
    end = what.locator(".evening-grip:not(.evening-grip-start)").first
    end.scroll_into_view_if_needed()
    box = end.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 5, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 5 + 2.6 * minutes, box["y"] + 20, steps=4)
    page.mouse.up()


@pytest.mark.usefixtures("haste")
def test_what_was_chosen_or_written_in_the_panel_stays_when_others_change_the_booking(
    page: Page, tonight: datetime
) -> None:
    booking = coming(tonight)
    open_evening(page)
    for made, fill in (
        ("<textarea></textarea>", "(each) => { each.value = 'a birthday'; }"),
        ("<select><option>no<option>yes</select>", "(each) => { each.selectedIndex = 1; }"),
    ):
        select(page, booking)
        panel = page.locator("#evening-panel form").first
        panel.evaluate("(form, html) => form.insertAdjacentHTML('beforeend', html)", made)
        panel.locator("textarea, select").evaluate(fill)
        with page.expect_response(lambda answer: "part=live" in answer.url and answer.status == 200):
            (api.late if "textarea" in made else api.arrived)(booking_ref=booking.booking_ref, actor="staff:1")
        poll_twice(page)
        expect(page.locator("#evening-panel").locator("textarea, select")).to_have_count(1)
        page.locator("[data-close]").click()


@pytest.mark.usefixtures("haste")
def test_an_expired_session_is_said_once(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    open_evening(page)
    page.context.clear_cookies()
    said(page, "You were signed out.")
    page.locator("#evening-said").evaluate("(each) => each.replaceChildren()")
    poll_twice(page)
    expect(page.locator("#evening-said")).to_be_empty()
    bar(page, booking).click()
    said(page, "You were signed out.")


@pytest.mark.usefixtures("tonight")
def test_a_phone_taps_a_booking_and_a_table(
    browser: Browser, live_server: Any, admin_user: Any, tonight: datetime
) -> None:
    width, _height = PHONE
    booking = coming(tonight)
    restaurant = models.Restaurant.objects.get()
    closure = api.close(
        restaurant_ref=str(restaurant.pk),
        table_refs=[str(restaurant.tables.get(code="D2-T01").pk)],
        starts_at=tonight + timedelta(minutes=60),
        ends_at=tonight + timedelta(minutes=90),
    )
    with visiting(browser, live_server.url, admin_user, size=PHONE, is_mobile=True, has_touch=True) as page:
        open_evening(page)
        bar(page, booking).tap()
        expect_text(page.locator("#evening-panel-title"), booking.booking_ref)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        small = page.locator("#evening-panel button, #evening-panel a.button").evaluate_all(
            "(all) => all.map((each) => each.getBoundingClientRect()).filter((box) => box.height && box.height < 44).length"
        )
        assert small == 0
        page.locator("#evening-panel").get_by_role("button", name="Seat at").first.tap()
        said(page, "now")
        page.locator("#evening-panel").get_by_role("button", name="Arrived").tap()
        said(page, "arrived")
        page.locator("[data-close]").tap()
        page.locator(f'.evening-bar[data-closure="{closure}"]').tap()
        page.locator("#evening-panel").get_by_role("button", name="+15 min").tap()
        said(page, "Closed from")
    assert stage_of(booking) == Stage.ARRIVED
    assert Closure.objects.get().ends_at == tonight + timedelta(minutes=105)


SMALL = """() => [...document.querySelectorAll(".evening-toolbar *, #evening *")]
  .filter((each) => [...each.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
  .filter((each) => each.getClientRects().length && !each.closest(".visually-hidden, title, option"))
  .filter((each) => parseFloat(getComputedStyle(each).fontSize) < 13)
  .map((each) => `${each.tagName}.${each.getAttribute("class")}: ${each.textContent.trim().slice(0, 40)}`)"""


@pytest.mark.usefixtures("tonight")
def test_nothing_on_the_working_page_keeps_anybody_out_and_its_own_texts_are_of_13_pixels_at_least(
    browser: Browser, live_server: Any, admin_user: Any, tonight: datetime
) -> None:
    with visiting(browser, live_server.url, admin_user, bypass_csp=True) as page:
        open_evening(page)
        select(page, coming(tonight))
        page.get_by_role("link", name="Without a table").click()
        page.locator("ul.evening-waiting").wait_for()
        found = findings(page)
        select(page, coming(tonight))
        page.locator("ul.evening-waiting").wait_for()
        for summary in page.locator("#evening summary, .evening-toolbar summary").all():
            summary.click()
        assert page.evaluate(SMALL) == []
    assert not found, "\n".join(found)


@pytest.mark.usefixtures("tonight")
def test_the_day_sheet_marks_what_has_moved_since_it_was_printed(page: Page, tonight: datetime) -> None:
    booking = coming(tonight)
    open_evening(page)
    page.locator("#evening-more summary").click()
    page.get_by_role("link", name="Day sheet").click()
    page.evaluate("window.print = () => { window.hasPrinted = true; }")
    page.get_by_role("button", name="Print", exact=True).click()
    assert page.evaluate("window.hasPrinted")
    assert not StaffAction.objects.filter(what="printed").exists()
    page.get_by_role("button", name="It was printed").click()
    expect(page.get_by_text("▲ marks what has changed since")).to_be_visible()
    expect(page.locator("tr.changed")).to_have_count(0)
    was = tables_of(booking)
    free = models.Table.objects.get(code="D1-T05")
    api.move(booking_ref=booking.booking_ref, table_refs=[str(free.pk)], actor="staff:1")
    page.reload()
    changed = page.locator("tr.changed")
    expect(changed).to_have_count(1)
    expect_text(changed, f"was {was}")
    open_evening(page)
    expect(page.get_by_role("link", name=f"at {was} on the day sheet")).to_have_count(1)
