"""The review queue as floor staff work it: look, decide with one click, take it back, and never over somebody else."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from assignments.models import Allocation, Assignment, State
from assignments.planning.reasons import Reason
from example import models
from tests.browser.browsing import visiting
from tests.showcase import decided

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

QUEUE = "/admin/assignments/reviewitem/"
MANY = 60
"""More presses of the Tab key than any way here takes."""


@pytest.fixture
def waiting(settings: Any) -> Assignment:
    """One in review for want of a table, on an evening on which everybody else has left by now."""
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "MAX_ATTEMPTS": 1}
    restaurant = decided(settings)
    Allocation.objects.filter(restaurant_ref=str(restaurant.pk)).delete()
    in_review = Assignment.objects.filter(state=State.MANUAL_REVIEW, reason=Reason.NO_CAPACITY)
    return in_review.order_by("starts_at", "pk")[0]


def tables_of(assignment: Assignment) -> str:
    refs = Allocation.objects.filter(booking_ref=assignment.booking_ref).values_list("table_ref", flat=True)
    codes = models.Table.objects.filter(pk__in=[int(ref) for ref in refs]).values_list("code", flat=True)
    return " + ".join(sorted(codes))


def state_of(assignment: Assignment) -> str:
    return str(Assignment.objects.get(pk=assignment.pk).state)


def booking(assignment: Assignment) -> str:
    return f"Booking {assignment.booking_ref}"


def open_from_queue(page: Page, assignment: Assignment) -> None:
    page.goto(QUEUE)
    page.get_by_role("link", name=booking(assignment), exact=True).click()
    expect(page.get_by_role("heading", name=booking(assignment), level=1)).to_be_visible()


def test_a_booking_gets_tables_with_one_click_and_loses_them_with_another(page: Page, waiting: Assignment) -> None:
    open_from_queue(page, waiting)
    best = (
        page.get_by_role("table", name="Table combinations that fit the booking, best first").locator("tbody tr").first
    )
    tables = best.get_by_role("rowheader").inner_text().split("\n")[0].split(" zone ")[0].split(" ", 1)[1].strip()
    best.get_by_role("button", name="Assign").click()
    expect(page.get_by_text(f"{booking(waiting)} has been assigned its tables.")).to_be_visible()
    assert state_of(waiting) == State.CONFIRMED
    assert tables_of(waiting) == tables
    page.get_by_role("button", name=f"Undo : {booking(waiting)}").click()
    expect(page.get_by_text(f"Undone: {booking(waiting)} is back in the queue.")).to_be_visible()
    assert (state_of(waiting), tables_of(waiting)) == (State.MANUAL_REVIEW, "")


def test_a_rejection_takes_a_reason_and_can_be_taken_back(page: Page, waiting: Assignment) -> None:
    open_from_queue(page, waiting)
    page.get_by_role("button", name="Reject booking").click()
    assert page.get_by_label("Reason for rejection").evaluate("field => field.validity.valueMissing")
    page.get_by_label("Reason for rejection").fill("The terrace is closed")
    page.get_by_role("button", name="Reject booking").click()
    expect(page.get_by_role("listitem").filter(has_text=f"{booking(waiting)} has been rejected.")).to_be_visible()
    page.get_by_role("button", name=f"Undo : {booking(waiting)}").click()
    expect(page.get_by_role("heading", name="Reason for review")).to_be_visible()
    assert state_of(waiting) == State.MANUAL_REVIEW


def test_of_two_people_at_one_booking_the_second_is_told_and_changes_nothing(
    browser: Browser, live_server: Any, page: Page, waiting: Assignment, staff: Any
) -> None:
    other = staff("jonas", "assignments.view_reviewitem", "assignments.assign")
    with visiting(browser, live_server.url, other) as second:
        open_from_queue(page, waiting)
        open_from_queue(second, waiting)
        page.get_by_role("button", name="Assign").first.click()
        expect(page.get_by_text(f"{booking(waiting)} has been assigned its tables.")).to_be_visible()
        given = tables_of(waiting)
        second.get_by_role("button", name="Assign").nth(1).click()
        expect(second.get_by_text("Nothing was changed")).to_be_visible()
        expect(second.get_by_role("heading", name="Status")).to_be_visible()
    assert (state_of(waiting), tables_of(waiting)) == (State.CONFIRMED, given)


def test_the_queue_is_worked_by_keyboard_alone_and_the_focus_is_seen(page: Page, waiting: Assignment) -> None:
    page.goto(QUEUE)
    skip_to_content(page)
    tab_to(page, booking(waiting))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name=booking(waiting), level=1)).to_be_visible()
    skip_to_content(page)
    tab_to(page, "Assign")
    page.keyboard.press("Enter")
    expect(page.get_by_text(f"{booking(waiting)} has been assigned its tables.")).to_be_visible()
    assert state_of(waiting) == State.CONFIRMED
    skip_to_content(page)
    tab_to(page, "Undo")
    page.keyboard.press("Space")
    expect(page.get_by_text(f"Undone: {booking(waiting)} is back in the queue.")).to_be_visible()
    skip_to_content(page)
    tab_to(page, "Reason for rejection")
    page.keyboard.type("Nobody answers the phone")
    tab_to(page, "Reject booking")
    page.keyboard.press("Enter")
    expect(page.get_by_role("listitem").filter(has_text=f"{booking(waiting)} has been rejected.")).to_be_visible()


def skip_to_content(page: Page) -> None:
    """Past the admin's header and its long list of models, as Django offers it."""
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what is called so has the focus; it must be seen to have it."""
    for _press in range(MANY):
        page.keyboard.press("Tab")
        focused = page.evaluate(NAME_OF_FOCUSED)
        if focused.startswith(name):
            assert page.evaluate(IS_FOCUS_SEEN), f"nobody sees that {name} has the focus"
            return
    raise AssertionError(f"{MANY} presses of Tab do not lead to {name}; the last thing was {focused}")


NAME_OF_FOCUSED = """() => {
  const element = document.activeElement;
  const label = element.labels && element.labels.length ? element.labels[0].innerText : "";
  return (label || element.getAttribute("aria-label") || element.innerText || element.value || "").trim();
}"""

IS_FOCUS_SEEN = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const drawn = () => {
    document.getAnimations().forEach((each) => each.finish());
    return JSON.stringify([
      style.outlineStyle === "none" ? "" : style.outline,
      style.boxShadow,
      style.borderWidth === "0px" ? "" : style.borderWidth + style.borderStyle + style.borderColor,
      style.textDecorationLine,
    ]);
  };
  const focused = drawn();
  element.blur();
  const plain = drawn();
  element.focus({ focusVisible: true, preventScroll: true });
  return focused !== plain;
}"""
"""Whether anything around it is drawn that is not there without the focus. Colours alone are nothing to go by."""


def test_who_may_only_look_sees_no_button(browser: Browser, live_server: Any, staff: Any, waiting: Assignment) -> None:
    with visiting(browser, live_server.url, staff("mira", "assignments.view_reviewitem")) as page:
        open_from_queue(page, waiting)
        expect(page.locator("#content button, #content input[type=submit]")).to_have_count(0)
