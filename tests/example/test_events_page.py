"""Events in the admin: found by source, type, severity, booking, correlation id and time; explained; fast at any number."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assignments.models import Assignment, Event
from assignments.telemetry.event_catalogue import CATALOGUE

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:assignments_event_changelist"
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def an_event(**values: Any) -> Event:
    defaults: dict[str, Any] = {
        "source": "assignment.coordinator",
        "type": "coordinator.retry",
        "severity": "info",
        "at": datetime.now(UTC),
    }
    return Event(**{**defaults, **values})


@pytest.fixture
def events() -> dict[str, Event]:
    """A few, each of which something distinguishes."""
    made = {
        "retry": an_event(booking_ref="B1", correlation_id=ONE, context={"reason": "no_capacity", "attempt": 2}),
        "error": an_event(type="coordinator.error", severity="error", booking_ref="B2", correlation_id=OTHER),
        "moved": an_event(
            source="assignment.state_machine",
            type="state_machine.transition",
            booking_ref="B1",
            correlation_id=ONE,
            context={"to_state": "assignment_pending"},
        ),
        "old": an_event(booking_ref="B3", at=datetime.now(UTC) - timedelta(days=3)),
    }
    Event.objects.bulk_create(made.values())
    return made


def found(client: Client, events: dict[str, Event], **query: str) -> set[str]:
    """Which of them the list shows."""
    answer = client.get(reverse(LIST), query)
    assert answer.status_code == 200
    shown = {int(pk) for pk in re.findall(r"/event/(\d+)/change/", answer.content.decode())}
    return {name for name, event in events.items() if event.pk in shown}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, {"retry", "error", "moved", "old"}),
        ({"source": "assignment.state_machine"}, {"moved"}),
        ({"type": "coordinator.error"}, {"error"}),
        ({"source": "assignment.coordinator", "type": "coordinator.retry"}, {"retry", "old"}),
        ({"severity__exact": "error"}, {"error"}),
        ({"booking_ref": "B1"}, {"retry", "moved"}),
        ({"q": "B1"}, {"retry", "moved"}),
        ({"q": "B"}, set()),
        ({"correlation_id": str(ONE)}, {"retry", "moved"}),
        ({"q": str(OTHER)}, {"error"}),
        ({"q": str(OTHER).upper()}, {"error"}),
        ({"since": "day"}, {"retry", "error", "moved"}),
        ({"since": "week"}, {"retry", "error", "moved", "old"}),
        ({"since": "nonsense"}, {"retry", "error", "moved", "old"}),
    ],
)
def test_they_are_found(
    admin_client: Client, events: dict[str, Event], query: dict[str, str], expected: set[str]
) -> None:
    assert found(admin_client, events, **query) == expected


def test_types_that_can_be_chosen_are_the_catalogues(admin_client: Client, events: dict[str, Event]) -> None:
    text = admin_client.get(reverse(LIST), {"source": "assignment.rollout"}).content.decode()
    chosen = set(re.findall(r"[?&;]type=([\w.]+)", text))
    assert chosen == {each.type for each in CATALOGUE.values() if each.source == "assignment.rollout"}


def text_of(answer: Any) -> str:
    """What is read on the page, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def page(client: Client, event: Event) -> Any:
    answer = client.get(reverse("admin:assignments_event_change", args=[event.pk]))
    assert answer.status_code == 200
    return answer


def test_one_says_what_it_means_what_to_do_and_what_each_value_is(
    admin_client: Client, events: dict[str, Event]
) -> None:
    known = CATALOGUE["assignment.coordinator", "coordinator.retry"]
    text = text_of(page(admin_client, events["retry"]))
    assert known.meaning in text
    assert "What to do: Nothing." in text
    assert "Reason: Everything that fits the party is taken." in text
    assert "attempt 2 Number of the attempt, from 1." in text
    text = text_of(page(admin_client, events["error"]))
    assert CATALOGUE["assignment.coordinator", "coordinator.error"].action in text
    assert "This event has no values." in text


def test_one_that_the_catalogue_does_not_know_is_shown_all_the_same(admin_client: Client) -> None:
    event = an_event(source="gone", type="gone.happened", context={"unheard_of": [1, 2]})
    event.save()
    text = text_of(page(admin_client, event))
    assert "This event is no longer in the catalogue" in text
    assert "unheard_of 1, 2 No longer in the catalogue." in text


def test_one_leads_to_its_booking_and_to_what_else_the_invocation_did(
    client: Client, admin_client: Client, events: dict[str, Event], django_user_model: Any
) -> None:
    now = datetime.now(UTC)
    assignment = Assignment.objects.create(
        booking_ref="B1",
        restaurant_ref="R1",
        service_date=now.date(),
        starts_at=now,
        party=2,
        requested_at=now,
        due_at=now,
    )
    booking = reverse("admin:assignments_assignment_change", args=[assignment.pk])
    places = [reverse(f"admin:assignments_{name}_changelist") for name in ("attempt", "statetransition")]
    html = page(admin_client, events["retry"]).content.decode()
    assert booking in html
    assert f"{reverse(LIST)}?correlation_id={ONE}" in html
    assert all(f"{place}?q={ONE}" in html for place in places)
    user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_event"))
    client.force_login(user)
    html = page(client, events["retry"]).content.decode()
    assert booking not in html
    assert not any(place in html for place in places)


@pytest.mark.parametrize("key", ["999999", "nonsense"])
def test_one_that_is_not_there(admin_client: Client, events: dict[str, Event], key: str) -> None:
    assert admin_client.get(f"{reverse(LIST)}{key}/change/").status_code == 404


def test_without_the_permission_there_is_nothing(
    client: Client, admin_client: Client, events: dict[str, Event], django_user_model: Any
) -> None:
    client.force_login(django_user_model.objects.create_user("anna", password="x", is_staff=True))
    one = reverse("admin:assignments_event_change", args=[events["retry"].pk])
    assert client.get(reverse(LIST)).status_code == 403
    assert client.get(one).status_code == 403
    assert admin_client.post(one).status_code == 403
    assert admin_client.post(f"{reverse(LIST)}{events['retry'].pk}/delete/", {"post": "yes"}).status_code == 403
    assert Event.objects.count() == 4


FILTERS: list[dict[str, str]] = [
    {},
    {"since": "hour"},
    {"severity__exact": "error"},
    {"source": "assignment.coordinator"},
    {"type": "coordinator.error"},
    {"q": "B77"},
    {"correlation_id": str(ONE)},
    {"p": "100"},
]


def statements(client: Client, **query: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(reverse(LIST), query).status_code == 200
    return [each["sql"] for each in captured]


def plan_of(sql: str) -> str:
    """How PostgreSQL would do it."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}".replace("%", "%%"))
        return "\n".join(line for (line,) in cursor.fetchall())


def test_a_hundred_thousand_cost_no_more_than_a_few(admin_client: Client, events: dict[str, Event]) -> None:
    few = [len(statements(admin_client, **query)) if "p" not in query else None for query in FILTERS]
    assert max(count for count in few if count is not None) < 20
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO assignments_event (source, type, severity, booking_ref, restaurant_ref, context, correlation_id, at)
            SELECT 'assignment.coordinator',
                   CASE number % 5 WHEN 0 THEN 'coordinator.error' ELSE 'coordinator.start' END,
                   CASE number % 5 WHEN 0 THEN 'error' ELSE 'info' END,
                   'B' || number % 10000, 'R1', '{}', gen_random_uuid(), now() - number * interval '1 second'
              FROM generate_series(1, 100000) AS number
            """
        )
        cursor.execute("ANALYZE assignments_event")
    for query, count in zip(FILTERS, few, strict=True):
        asked = statements(admin_client, **query)
        assert count is None or len(asked) <= count, query
        of_events = [each for each in asked if "assignments_event" in each]
        assert of_events, query
        for sql in of_events:
            assert "DISTINCT" not in sql, query
            assert "LIMIT" in sql or "Seq Scan" not in plan_of(sql), f"{query} reads all of the table: {sql}"
