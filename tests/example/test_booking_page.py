"""One booking's page: the machine as it is, the way taken, decisions in words, one journal, and few queries."""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation
from django_fsm import ANY_OTHER_STATE

from assignments import api, conf
from assignments.admin import statechart
from assignments.exceptions import TransitionRefusedError
from assignments.models import Assignment, Attempt, Event, OutboxMessage, State, StateTransition
from assignments.planning.reasons import Reason
from assignments.staff import labels
from assignments.staff.moments import local_moment
from assignments.telemetry import events
from assignments.telemetry.event_catalogue import STATE_MACHINE
from example import models
from example.host import ExampleHost
from tests.built import built_once
from tests.example.conftest import load

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stored(settings: Any) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "EVENT_SINKS": ("assignments.telemetry.events.DatabaseSink",)}


@pytest.fixture
def seated(stored: None, transactional_db: Any) -> Assignment:
    """A booking that V3 seated, in a restaurant whose clock is an hour ahead of UTC's."""
    built_once("one that V3 seated, with its events", _seat_one)
    return Assignment.objects.get()


def _seat_one() -> None:
    restaurant = load()
    models.Restaurant.objects.update(timezone="Europe/Berlin")
    assert api.assign_now(booking_ref=str(restaurant.bookings.get(reference="B001").pk)).table_refs
    events.flush(10)


def url_of(assignment: Assignment) -> str:
    return reverse("admin:assignments_assignment_change", args=[assignment.pk])


def html_of(client: Client, assignment: Assignment, **query: str) -> str:
    answer = client.get(url_of(assignment), query)
    assert answer.status_code == 200
    return str(answer.content.decode())


def text_of(html: str) -> str:
    """What is read on the page, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


class TestMachine:
    def test_what_is_drawn_is_what_can_happen(self) -> None:
        """Tried on the model itself, and not read from where the drawing reads it."""
        possible = set()
        methods = {each.name for each in Assignment._meta.get_field("state").get_all_transitions(Assignment)}
        for source in State:
            for method in methods:
                assignment = Assignment(booking_ref="B1", state=source)
                try:
                    getattr(assignment, method)(actor="test")
                except TransitionRefusedError:
                    continue
                possible.add((str(source), str(assignment.state)))
        chart = statechart.draw(State.CREATED, [])
        drawn = {(edge.source, edge.target) for edge in chart.edges}
        anywhere = {(str(state), str(State.CANCELLED)) for state in State if state != State.CANCELLED}
        assert drawn == possible - anywhere
        assert {node.state for node in chart.nodes} == set(State.values)
        assert list(chart.from_anywhere) == [str(State.CANCELLED.label)]

    def test_the_states_that_every_other_can_turn_into_are_those_of_the_table(self) -> None:
        everywhere = {
            str(each.target)
            for each in Assignment._meta.get_field("state").get_all_transitions(Assignment)
            if each.source == ANY_OTHER_STATE
        }
        assert statechart.transitions()[1] == everywhere == {"cancelled"}

    def test_no_two_states_are_drawn_on_top_of_each_other(self) -> None:
        chart = statechart.draw(State.CREATED, [])
        for one in chart.nodes:
            for other in chart.nodes:
                if one.state != other.state:
                    apart = abs(one.x - other.x) >= chart.node_width or abs(one.y - other.y) >= chart.node_height
                    assert apart, f"{one.state}, {other.state}"
            assert 0 <= one.x <= chart.width - chart.node_width
            assert 0 <= one.y <= chart.height - chart.node_height

    def test_steps_are_numbered_and_many_of_them_shortened(self) -> None:
        steps = [(number, "assignment_pending", "assignment_in_progress") for number in range(1, 9, 2)]
        chart = statechart.draw("assignment_in_progress", steps)
        (edge,) = (each for each in chart.edges if each.is_taken)
        assert edge.numbers == "1, 3 … 7"
        assert [node.state for node in chart.nodes if node.is_here] == ["assignment_in_progress"]


def test_the_way_it_took_is_drawn_and_told(admin_client: Client, seated: Assignment) -> None:
    html = html_of(admin_client, seated)
    taken = set(re.findall(r'statechart-taken" d="[^"]*" marker-end="[^"]*" data-edge="([^"]*)"', html))
    assert taken == {
        "created-capacity_verified",
        "capacity_verified-assignment_pending",
        "assignment_pending-assignment_in_progress",
        "assignment_in_progress-assigned",
        "assigned-confirmed",
    }
    assert re.search(r'statechart-here" data-state="confirmed"', html)
    assert 'aria-labelledby="statechart-title statechart-text"' in html
    steps = re.search(r'<ol class="booking-steps".*?</ol>', html, re.DOTALL)
    assert steps is not None
    assert text_of(steps.group()).count("(V3)") == 5
    assert "confirm: from assigned to confirmed" in text_of(steps.group())


@pytest.mark.parametrize("prefix", ["staff", "user"])
def test_who_took_a_step_has_the_name_of_today_and_a_number_once_gone(
    admin_client: Client, seated: Assignment, django_user_model: Any, prefix: str
) -> None:
    jonas = django_user_model.objects.create_user("jonas")
    api.release_tables(booking_ref=seated.booking_ref, actor=f"{prefix}:{jonas.pk}")
    assert text_of(html_of(admin_client, seated)).count("jonas") == 2, "of the steps, and in the journal"
    number = jonas.pk
    jonas.delete()
    assert text_of(html_of(admin_client, seated)).count(f"user {number}") == 2


def test_an_actor_that_is_no_users_key_is_shown_as_a_number(admin_client: Client, seated: Assignment) -> None:
    api.release_tables(booking_ref=seated.booking_ref, actor="staff:seven")
    assert "(user seven)" in text_of(html_of(admin_client, seated))


def test_the_decision_is_told_with_its_plans_and_why_the_others_lost(admin_client: Client, seated: Assignment) -> None:
    decision = Attempt.objects.get().decision
    text = text_of(html_of(admin_client, seated))
    assert "Attempt 1 by V3, when it was booked: confirmed" in text
    assert re.search(r"D\d-T\d+ for 3 covers from \d\d:\d\d to \d\d:\d\d: 1 seat stays empty\.", text)
    assert f"{decision['plans'][0]['score']:.2f}" in text
    parts = decision["plans"][0]["breakdown"]
    titles = [labels.strategy(name) for name in sorted(parts, key=lambda name: (-abs(parts[name]), name))]
    assert f"Rank Tables Seats Spare seats Score {' '.join(titles)} 1 " in text, "what counts most comes first"
    assert f"Of {decision['considered']} table combinations:" in text
    for reason, count in decision["rejected"].items():
        assert f"{count} ruled out: {labels.reason(reason)}" in text


def test_times_are_the_restaurants_and_say_so(admin_client: Client, seated: Assignment) -> None:
    text = text_of(html_of(admin_client, seated))
    local = seated.starts_at.astimezone(ZoneInfo("Europe/Berlin"))
    assert f"Starts {local_moment(local)}" in text
    assert "All times on this page are local to the restaurant (Europe/Berlin)." in text


def test_the_journal_puts_everything_side_by_side_in_order(admin_client: Client, seated: Assignment) -> None:
    html = html_of(admin_client, seated)
    journal = text_of(html[html.index('id="journal"') :])
    known = str(seated.transitions.latest("version").correlation_id)
    assert journal.count(known[:8]) >= 5 + 1 + 1 + 2, "transitions, attempt, message, start and end"
    order = ["verify capacity: from", "Attempt 1 by V3", "booking.assignment_state.confirmed", "coordinator.confirmed"]
    places = [journal.index(each) for each in order]
    assert places == sorted(places)
    event = Event.objects.get(type="coordinator.confirmed")
    assert reverse("admin:assignments_event_change", args=[event.pk]) in html
    assert f"?correlation_id={known}" in html


def test_seatings_and_stages_are_told_beside_the_transitions(admin_client: Client, seated: Assignment) -> None:
    api.arrived(booking_ref=seated.booking_ref, actor="staff:1")
    api.release_tables(booking_ref=seated.booking_ref)
    html = html_of(admin_client, seated)
    journal_text = " ".join(re.sub(r"<[^>]+>", " ", html.partition('id="journal"')[2]).split())
    assert "expected, now arrived" in journal_text
    assert re.search(r"seating \S+: seated \d+ \w+ \d{4}, \d\d:\d\d to \d\d:\d\d", journal_text)
    assert re.search(r"seating \S+: freed", journal_text)
    assert re.search(r"<dt>Guests</dt><dd>arrived", html)
    found = admin_client.get(reverse("admin:assignments_assignment_changelist"), {"stage": "arrived"})
    assert [each.pk for each in found.context["cl"].result_list] == [seated.pk]
    found = admin_client.get(reverse("admin:assignments_assignment_changelist"), {"wake_at__isempty": "0"})
    assert list(found.context["cl"].result_list) == []


def test_a_booking_that_got_other_tables_loops_at_its_state() -> None:
    chart = statechart.draw(State.CONFIRMED, [(1, "assigned", "confirmed"), (2, "confirmed", "confirmed")])
    (loop,) = (edge for edge in chart.edges if edge.source == edge.target)
    assert (loop.source, loop.numbers) == ("confirmed", "2")
    start, *_middle, end = re.findall(r"[ML ]-?[\d.]+ (-?[\d.]+)", loop.curve)
    assert start != end, "a line back and forth cannot be seen"
    assert labels.transition("reseat") == "reseat"


def test_links_lead_to_where_the_user_may_go(client: Client, seated: Assignment, django_user_model: Any) -> None:
    user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_assignment"))
    client.force_login(user)
    html = html_of(client, seated)
    assert reverse("admin:example_booking_change", args=[seated.booking_ref]) in html
    for place in ("event", "attempt", "allocation", "statetransition"):
        assert reverse(f"admin:assignments_{place}_changelist") not in html
    assert reverse("admin:rollout_comparison_changelist") not in html
    user.user_permissions.set(
        Permission.objects.filter(codename__in=["view_assignment", "view_event", "view_comparison", "view_allocation"])
    )
    html = html_of(client, seated)
    assert f"{reverse('admin:rollout_comparison_changelist')}?q={seated.booking_ref}" in html
    assert f"{reverse('admin:assignments_event_changelist')}?booking_ref={seated.booking_ref}" in html


@pytest.mark.parametrize("permission", ["view_reviewitem", "assign", "retry", "reject"])
def test_whoever_may_see_the_review_queue_is_led_there(
    client: Client, transactional_db: Any, django_user_model: Any, permission: str
) -> None:
    booking = load().bookings.get(reference="B001")
    models.Booking.objects.filter(pk=booking.pk).update(party=40)
    api.assign_now(booking_ref=str(booking.pk))
    waiting = Assignment.objects.get(state=State.MANUAL_REVIEW)
    user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_assignment"))
    client.force_login(user)
    review = reverse("admin:assignments_reviewitem_change", args=[waiting.pk])
    assert review not in html_of(client, waiting)
    user.user_permissions.add(Permission.objects.get(codename=permission))
    assert review in html_of(client, waiting)
    assert client.get(review).status_code == 200


def test_without_the_permission_there_is_no_page_and_nobody_can_post(
    client: Client, admin_client: Client, seated: Assignment, django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_user("anna", password="x", is_staff=True))
    assert client.get(url_of(seated)).status_code == 403
    assert admin_client.post(url_of(seated), {"state": "failed"}).status_code == 403


@pytest.mark.parametrize("key", ["999999", "nonsense", "%00"])
def test_an_assignment_that_is_not_there(admin_client: Client, seated: Assignment, key: str) -> None:
    url = url_of(seated).replace(f"/{seated.pk}/", f"/{key}/")
    assert admin_client.get(url).status_code == 404


def test_a_booking_that_was_never_tried_says_what_would_be_here(admin_client: Client, transactional_db: Any) -> None:
    restaurant = load()
    ref = str(restaurant.bookings.get(reference="B001").pk)
    api.request(booking_ref=ref)
    text = text_of(html_of(admin_client, Assignment.objects.get(booking_ref=ref)))
    for said in ("No steps yet.", "No attempts yet.", "No records yet.", "none yet"):
        assert said in text


def test_a_booking_that_is_gone_is_still_told(admin_client: Client, seated: Assignment) -> None:
    models.Booking.objects.all().delete()
    html = html_of(admin_client, seated)
    assert "This booking no longer exists in the booking project" in text_of(html)
    assert reverse("admin:example_booking_change", args=[seated.booking_ref]) not in html


class FailingHost(ExampleHost):
    """Can be asked nothing, and names a guest."""

    def bookings(self, refs: Any, *, lock: bool = False) -> Any:
        raise RuntimeError("Canary Guest")

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        raise RuntimeError("Canary Guest")


def test_a_project_that_cannot_be_asked_does_not_cost_the_page(
    admin_client: Client, seated: Assignment, settings: Any, caplog: Any
) -> None:
    settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": f"{__name__}.FailingHost"}
    conf.settings.cache_clear()
    conf.load.cache_clear()
    text = text_of(html_of(admin_client, seated))
    assert "The booking project could not be reached" in text
    assert "Times are shown in UTC" in text
    assert "Canary" not in text + caplog.text


def many(seated: Assignment, *, attempts: int, of_events: int) -> None:
    """The booking was tried so often, and left so many events."""
    start = datetime.now(UTC) - timedelta(days=3)
    first = Attempt.objects.get()
    rows = StateTransition.objects.filter(assignment=seated).count()
    ids = [uuid.uuid4() for _ in range(attempts)]
    Attempt.objects.bulk_create(
        Attempt(
            assignment=seated,
            booking_ref=seated.booking_ref,
            number=number,
            planner="v3",
            trigger="cron",
            outcome="retry",
            reason="no_capacity",
            decision=first.decision,
            correlation_id=ids[number],
            at=start + timedelta(minutes=number),
        )
        for number in range(attempts)
    )
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE assignments_statetransition DISABLE TRIGGER USER")
        StateTransition.objects.bulk_create(
            StateTransition(
                assignment=seated,
                booking_ref=seated.booking_ref,
                version=1000 + number,
                name="begin" if number % 2 else "put_back",
                source="assignment_pending" if number % 2 else "assignment_in_progress",
                target="assignment_in_progress" if number % 2 else "assignment_pending",
                actor="v3",
                reason="" if number % 2 else "no_capacity",
                at=start + timedelta(seconds=30 * number),
            )
            for number in range(2 * attempts)
        )
        cursor.execute("ALTER TABLE assignments_statetransition ENABLE TRIGGER USER")
    Event.objects.bulk_create(
        Event(
            source="assignment.coordinator",
            type="coordinator.retry",
            severity="info",
            booking_ref=seated.booking_ref,
            context={"reason": "no_capacity"},
            at=start + timedelta(seconds=number),
        )
        for number in range(of_events)
    )
    OutboxMessage.objects.bulk_create(
        OutboxMessage(topic="booking.assignment_state.assignment_pending", booking_ref=seated.booking_ref, payload={})
        for _ in range(attempts)
    )
    assert StateTransition.objects.filter(assignment=seated).count() == rows + 2 * attempts


def queries(client: Client, url: str, **query: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url, query).status_code == 200
    return len(captured)


def test_it_opens_in_few_queries_however_much_there_is(admin_client: Client, seated: Assignment) -> None:
    queries(admin_client, url_of(seated))
    api.release_tables(booking_ref=seated.booking_ref, actor="staff:1")
    few = queries(admin_client, url_of(seated))
    many(seated, attempts=200, of_events=1000)
    assert few < 20
    assert queries(admin_client, url_of(seated)) <= few + 1, "one more, which counts the steps that are not shown"


def test_a_booking_tried_for_weeks_is_shown_in_windows(admin_client: Client, seated: Assignment) -> None:
    many(seated, attempts=200, of_events=1000)
    html = html_of(admin_client, seated)
    assert len(html) < 400_000
    assert html.count('<details class="booking-attempt"') == 20
    text = text_of(html)
    assert "All attempts" in text
    assert re.search(r"\d+ earlier steps are not shown\.", text)


def _moments_and_events(html: str) -> Iterator[str]:
    yield from re.findall(r'/event/(\d+)/change/"', html)


def test_turning_the_journals_pages_shows_every_event_once(admin_client: Client, seated: Assignment) -> None:
    many(seated, attempts=50, of_events=400)
    wanted = set(
        Event.objects.filter(booking_ref=seated.booking_ref).exclude(source=STATE_MACHINE).values_list("pk", flat=True)
    )
    seen: list[str] = []
    query: dict[str, str] = {}
    for _ in range(30):
        html = html_of(admin_client, seated, **query)
        seen += _moments_and_events(html)
        earlier = re.search(r'href="\?before=([^"#]+)#journal"', html)
        if earlier is None:
            break
        query = {"before": unescape(earlier.group(1)).replace("%3A", ":").replace("%2B", "+")}
    assert sorted(int(pk) for pk in seen) == sorted(wanted)


@pytest.mark.parametrize("before", ["nonsense", "2026-01-01", "2026-13-45T00:00:00Z", "0001-01-01T00:00:00+23:59"])
def test_a_window_that_is_none(admin_client: Client, seated: Assignment, before: str) -> None:
    html_of(admin_client, seated, before=before)


class TestList:
    def test_its_queries_do_not_grow(self, admin_client: Client, seated: Assignment) -> None:
        url = reverse("admin:assignments_assignment_changelist")
        few = queries(admin_client, url)
        Assignment.objects.bulk_create(
            Assignment(
                booking_ref=f"X{number}",
                restaurant_ref=seated.restaurant_ref,
                service_date=seated.service_date,
                starts_at=seated.starts_at,
                party=2,
                requested_at=seated.requested_at,
                due_at=seated.requested_at,
            )
            for number in range(300)
        )
        assert queries(admin_client, url) <= few < 20
        assert queries(admin_client, url, q="X77") <= few + 1

    def test_it_is_searched_for_exactly_and_filtered(self, admin_client: Client, seated: Assignment) -> None:
        url = reverse("admin:assignments_assignment_changelist")

        def found(**query: str) -> bool:
            return url_of(seated) in admin_client.get(url, query).content.decode()

        assert found(q=seated.booking_ref)
        assert not found(q=f"{seated.booking_ref}0")
        assert found(planner="v3")
        assert not found(planner="nobody")
        assert found(state__exact="confirmed")
        assert not found(state__exact="failed")


class TestWords:
    def test_every_reason_that_a_planner_gives_has_words_of_its_own(self) -> None:
        said = [labels.reason(reason) for reason in Reason]
        assert len(set(said)) == len(Reason)
        assert all(sentence.endswith(".") for sentence in said)

    def test_a_refusal_is_worded_from_its_values_and_in_the_readers_language(self, monkeypatch: Any) -> None:
        refusal = {
            "reason": "party_too_large",
            "text": "Party of %(party)s: the largest join seats %(seats)s.",
            "values": {"party": 40, "seats": 12},
        }
        assert labels.refusal(refusal) == "Party of 40: the largest join seats 12."
        monkeypatch.setattr(labels, "_", lambda text: text.replace("the largest join seats", "größter Verbund:"))
        assert labels.refusal(refusal) == "Party of 40: größter Verbund: 12."
        monkeypatch.setattr(labels, "_", lambda text: "%(nothing)s")
        said = labels.refusal(refusal)
        assert said == "Party of 40: the largest join seats 12.", (
            "a translation that asks for other values costs nothing"
        )

    def test_an_older_refusal_says_what_was_kept_of_it(self) -> None:
        sentence = "Party of 40: the largest join seats 12."
        assert labels.refusal({"reason": "party_too_large", "detail": sentence}) == sentence
        assert labels.refusal({"reason": "party_too_large"}) == labels.reason("party_too_large")

    def test_the_reasons_behind_a_refusal_are_worded_too(self) -> None:
        inner = {"reason": "table_inactive", "text": "Table %(table)s is out of service.", "values": {"table": "T1"}}
        refusal = {"reason": "pinned_tables_unfit", "text": "The pinned tables will not do.", "because": [inner]}
        assert labels.refusal(refusal) == "The pinned tables will not do. Table T1 is out of service."

    def test_what_nobody_here_knows_is_shown_as_it_is(self) -> None:
        assert labels.reason("guest_asked_for_the_window") == "guest asked for the window"
        assert labels.reason("") == ""
        assert labels.state("unheard_of") == "unheard_of"
        assert labels.actor("staff:7") == "user 7"

    def test_states_are_lazily_translated(self) -> None:
        with translation.override("de"):
            assert labels.state("confirmed") == str(State.CONFIRMED.label)
