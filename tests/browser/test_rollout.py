"""Steering the rollout as an operator does: in a browser, with a reason, and back."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from rollout.control import steering, switches
from rollout.flags import resolution
from rollout.flags.resolution import Mode
from tests.browser.browsing import visiting
from tests.rollout.control.test_steering import WHO, climb, configure, last_change

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]

PAGE = "/admin/rollout/position/"


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


def stage() -> str:
    position = steering.current()
    assert position is not None
    return position.stage


def test_signing_in_leads_to_the_rollout(
    browser: Browser, live_server: Any, admin_user: Any, django_user_model: Any
) -> None:
    with visiting(browser, live_server.url) as page:
        page.goto("/")
        page.get_by_label("Username").fill(admin_user.username)
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_text("Please enter the correct username and password")).to_be_visible()
        page.get_by_label("Password").fill("password")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("link", name="Rollout", exact=True).last.click()
        expect(page.get_by_role("heading", name="Status")).to_be_visible()


def test_a_switch_is_turned_with_a_reason_and_the_reason_is_on_the_page(page: Page, admin_user: Any) -> None:
    page.goto(PAGE)
    page.get_by_role("link", name="Turn on… assignment_pipeline_v3_shadow").click()
    page.get_by_role("button", name="Turn on").click()
    # Without a reason the browser itself does not send it.
    assert page.get_by_label("Reason").evaluate("field => field.validity.valueMissing")
    page.get_by_label("Reason").fill("V3 is to watch this Friday")
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_role("row", name="V3 is to watch this Friday")).to_be_visible()
    assert resolution.read().mode is Mode.SHADOW
    assert (last_change().actor, last_change().reason) == (f"user:{admin_user.pk}", "V3 is to watch this Friday")


def test_contradictory_flags_are_offered_nowhere_and_refused_where_somebody_was_faster(page: Page) -> None:
    page.goto(PAGE)
    page.get_by_role("link", name="Turn on… assignment_pipeline_v3", exact=True).click()
    page.get_by_label("Reason").fill("it looked fine")
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, **WHO)
    page.get_by_role("button", name="Turn on").click()
    expect(page.get_by_text("in the meantime")).to_be_visible()
    expect(page.get_by_text("The other switch is on: turn it off first.")).to_be_visible()
    expect(page.get_by_role("link", name="Turn on… assignment_pipeline_v3", exact=True)).to_have_count(0)
    assert resolution.read().mode is Mode.SHADOW


def test_waffles_own_page_refuses_contradictory_flags_too(page: Page) -> None:
    switches.set_switch(resolution.SHADOW_SWITCH, active=True, **WHO)
    page.goto("/admin/waffle/switch/add/")
    page.get_by_label("Name").fill(resolution.V3_SWITCH)
    page.get_by_label("Active").check()
    page.get_by_label("Reason").fill("both, to be sure")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Please correct the error below")).to_be_visible()
    assert resolution.read().mode is Mode.SHADOW


@pytest.mark.legacy_planner
def test_promoting_takes_an_override_where_a_gate_holds_and_a_rollback_takes_it_back(page: Page, settings: Any) -> None:
    configure(settings, gates={"comparable": 3000})
    climb("shadow")
    page.goto(PAGE)
    page.get_by_role("link", name="Promote to some…").click()
    page.get_by_label("Reason").fill("the chef said so")
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text("Nothing was done.")).to_be_visible()
    assert stage() == "shadow"
    page.get_by_label("Override: promote despite these obstacles").check()
    page.get_by_role("button", name="Promote").click()
    change = page.get_by_role("row", name="the chef said so")
    expect(change).to_contain_text("overridden")
    assert (stage(), resolution.read().mode) == ("some", Mode.ACTIVE)
    page.locator("#content").get_by_role("link", name="Roll back…").click()
    page.get_by_label("Reason").fill("the floor staff complain")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_role("row", name="the floor staff complain")).to_be_visible()
    assert (stage(), resolution.read().mode) == ("shadow", Mode.SHADOW)


def test_who_may_only_look_sees_no_button_and_is_refused_behind_each(
    browser: Browser, live_server: Any, staff: Any
) -> None:
    climb("shadow")
    user = staff("mira", "rollout.view_position")
    with visiting(browser, live_server.url, user, expected=frozenset({403})) as page:
        page.goto(PAGE)
        expect(page.get_by_role("heading", name="Status")).to_be_visible()
        expect(page.locator("#content .page-actions a")).to_have_count(0)
        for path in ("promote/", "roll-back/", "pause/", "switches/v3/on/", "force/", "waive/"):
            answer = page.goto(f"{PAGE}{path}")
            assert answer is not None
            assert answer.status == 403, path
