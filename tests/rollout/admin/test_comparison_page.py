"""Comparisons in the admin: the list, its classes, and one comparison of each class, readable or not."""

import re
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from assignments.models import Assignment
from assignments.planning import engine
from assignments.planning.decision import Decision, TablePlan
from assignments.planning.reasons import Reason, Refusal
from assignments.planning.request import SeatingRequest
from assignments.planning.snapshot import Occupied, Snapshot
from assignments.planning.text import Text
from assignments.testing import MemoryHost, a_floor, a_service, a_table
from rollout.admin import comparisons
from rollout.admin.labels import VERDICTS
from rollout.models import Comparison, FloorRecord, Waiver
from rollout.policy.seating_audit import Flaw, flaws_of
from rollout.policy.verdict import Verdict, compare
from rollout.shadow import comparison_detail, recorder
from rollout.shadow.serialization import decision_to_json
from tests.rewriting import rewriting

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:rollout_comparison_changelist"
SEVEN = datetime(2030, 1, 14, 19, tzinfo=UTC)
FLOOR = replace(
    a_floor(
        tables=[a_table("T1", seats=2, zone_ref="z"), a_table("T2", zone_ref="z"), a_table("T3", zone_ref="z")],
        services=[a_service(buffer_after_minutes=10)],
        adjacent=[("T1", "T2"), ("T2", "T3")],
    ),
    zone_names={"z": "Terrace"},
)
OCCUPIED = (
    Occupied(table_ref="T2", blocked_from=SEVEN - timedelta(hours=1), blocked_until=SEVEN, booking_ref="B0"),
    Occupied(table_ref="T1", blocked_from=SEVEN, blocked_until=SEVEN + timedelta(hours=2), booking_ref="B9"),
)


class LateHost(MemoryHost):
    """The floor serves until two."""

    def __init__(self) -> None:
        super().__init__(floors=[replace(FLOOR, services=(a_service(starts=time(19), ends=time(2)),))])


def a_snapshot(*, party: int = 4, ref: str = "B1") -> Snapshot:
    request = SeatingRequest(booking_ref=ref, starts_at=SEVEN, party=party)
    return Snapshot(floor=FLOOR, occupied=OCCUPIED, request=request, now=SEVEN - timedelta(days=1))


def chooses(*table_refs: str, party: int = 4, **more: Any) -> Decision:
    """A decision for these tables; for none, a refusal."""
    planned = engine.plan(a_snapshot(party=party))
    if not table_refs:
        text = Text("Party of %(party)s: every set of tables is taken.", {"party": party})
        refusal = Refusal(Reason.NO_CAPACITY, text)
        return replace(planned, plans=(), refusal=refusal, rejected={"table_taken": 3}, considered=5)
    seats = sum(FLOOR.table_by_ref[ref].seats for ref in table_refs if ref in FLOOR.table_by_ref)
    plan = TablePlan(
        table_refs=table_refs,
        seats=seats,
        spare_seats=seats - party,
        score=12.5,
        breakdown={"optimal_fit": 10.0, "adjacency": 2.5},
        strategy="optimal_fit",
    )
    return replace(planned, plans=(plan,), refusal=None, **more)


def kept(control: Decision, candidate: Decision | None, *, party: int = 4, **more: Any) -> Comparison:
    """As shadow mode and comparing would have kept it."""
    snapshot = a_snapshot(party=party)
    recorder.keep_floors([FLOOR])
    found: dict[str, Any] = {"control_ms": 1.5, "control_repeats": True, "compared_at": timezone.now()}
    if candidate is not None:
        found["verdict"] = compare(snapshot, control, candidate)
        found["candidate"] = decision_to_json(candidate)
        found["candidate_ms"] = 2.25
    with rewriting():  # The evening is years away.
        return Comparison.objects.create(booking_ref="B1", **recorder.about(snapshot, control), **{**found, **more})


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def page(client: Client, comparison: Comparison) -> str:
    return text_of(client.get(reverse("admin:rollout_comparison_change", args=[comparison.pk])))


OF_EACH_CLASS: dict[str, tuple[Decision, Decision | None, dict[str, Any], tuple[str, ...]]] = {
    Verdict.SAME_TABLES: (chooses("T2"), chooses("T2"), {}, ("same tables", "T2 4 seats chosen by both")),
    Verdict.EQUIVALENT: (
        chooses("T2"),
        chooses("T3"),
        {},
        ("equally good", "T2 4 seats chosen by the legacy planner", "T3 4 seats chosen by V3"),
    ),
    Verdict.BETTER: (chooses("T2", "T3"), chooses("T3"), {}, ("V3 is better", "Legacy planner seats at T2 + T3 4 2")),
    Verdict.WORSE: (chooses("T3"), chooses("T2", "T3"), {}, ("V3 is worse",)),
    Verdict.ONLY_V3_SEATS: (chooses(), chooses("T3"), {}, ("only V3 seats", "every set of tables is taken")),
    Verdict.ONLY_LEGACY_SEATS: (
        chooses("T3"),
        chooses(),
        {},
        (
            "only the legacy planner seats",
            "no_capacity",
            "Ruled out of 5 table combinations: 3: Somebody else has a table at that time.",
        ),
    ),
    Verdict.BOTH_REFUSE: (chooses(), chooses(), {}, ("both refuse", "Neither planner found tables.")),
    Verdict.V3_ERROR: (
        chooses("T3"),
        None,
        {"verdict": "v3_error", "error": "timeout", "candidate_ms": 0.0},
        ("V3 failed", "timeout", "V3 no readable decision"),
    ),
    Verdict.UNSAFE: (
        chooses("T3"),
        chooses("T1"),
        {},
        (
            "V3 is unsafe",
            "The tables have too few seats for the party. too_few_seats",
            "A table is taken by another booking.",
        ),
    ),
    "": (chooses("T3"), None, {"compared_at": None}, ("waiting", "V3 not compared yet")),
}


class TestOne:
    @pytest.mark.parametrize("verdict", list(OF_EACH_CLASS))
    def test_each_class_says_what_it_means_and_shows_both_choices(self, admin_client: Client, verdict: str) -> None:
        control, candidate, more, said = OF_EACH_CLASS[verdict]
        comparison = kept(control, candidate, **more)
        assert comparison.verdict == verdict
        text = page(admin_client, comparison)
        for words in said:
            assert words in text, words
        assert "Terrace" in text
        assert comparison.snapshot_hash in text

    def test_floor_and_evening_show_what_was_known_then(self, admin_client: Client) -> None:
        url = reverse("admin:rollout_comparison_change", args=[kept(chooses("T2"), chooses("T3")).pk])
        few = text_of(admin_client.get(url))
        assert "The legacy planner chooses T2 (0 spare seats), and V3 chooses T3 (0 spare seats)." in few
        assert "T1 2 seats" not in few
        answer = admin_client.get(f"{url}?tables=1")
        html, text = answer.content.decode(), text_of(answer)
        assert "T1 2 seats taken 19:00-21:00 next to T2" in text
        assert 'aria-label="Booking B1, chosen by: legacy planner, T2"' in html
        assert 'aria-label="Booking B1, chosen by: V3, T3"' in html
        assert 'aria-label="Booking B9, occupied at the time"' in html
        assert 'class="timeline-window"' in html
        assert "Europe/London" in text

    def test_scores_and_timings_are_shown(self, admin_client: Client) -> None:
        text = page(admin_client, kept(chooses("T2"), chooses("T3"), control_repeats=False))
        assert "optimal fit adjacency" in text
        assert "12.50 10.00 2.50" in text
        assert "V3 seats at T3 0 1 2.25" in text
        assert "different tables: part of the difference is its own noise" in text

    def test_every_reason_why_it_is_unsafe_is_said(self, admin_client: Client) -> None:
        short = engine.plan(a_snapshot()).window
        assert short is not None
        window = replace(short, blocked_until=short.ends_at)
        text = page(admin_client, kept(chooses("T3"), chooses("T3", window=window)))
        assert "It occupies the tables for less time than the party and its buffers need." in text
        text = page(admin_client, kept(chooses("T3"), chooses("T3", booking_ref="B77")))
        assert "The decision is for another booking." in text
        assert flaws_of(a_snapshot(), chooses("T3", window=None)) == [Flaw.WITHOUT_TIMES]

    def test_every_flaw_of_the_audit_has_a_sentence(self) -> None:
        """A comparison with any other could not be opened."""
        assert set(comparisons.FLAWS) == set(Flaw)

    def test_tables_that_no_floor_has_are_shown_by_their_refs(self, admin_client: Client) -> None:
        text = page(admin_client, kept(chooses("T3"), chooses("gone")))
        assert "A table is not on the floor, or none is named. unknown_table" in text
        assert "seats at gone" in text

    def test_waivers_that_would_cover_it_are_shown_with_their_standing(self, admin_client: Client) -> None:
        comparison = kept(chooses("T3"), chooses())
        tomorrow = timezone.now() + timedelta(days=1)
        facts = {"verdict": comparison.verdict, "owner": "planning team", "expires_at": tomorrow}
        Waiver.objects.create(**facts, reason="it keeps the buffers")
        Waiver.objects.create(**{**facts, "expires_at": timezone.now()}, reason="long ago")
        Waiver.objects.create(**facts, withdrawn_at=timezone.now(), reason="we were wrong")
        Waiver.objects.create(**facts, restaurant_ref="R2", reason="elsewhere")
        Waiver.objects.create(**facts, refusal="no_fit", reason="for another reason")
        text = page(admin_client, comparison)
        for words in ("valid : it keeps the buffers", "expired : long ago", "withdrawn : we were wrong"):
            assert words in text
        assert "elsewhere" not in text
        assert "for another reason" not in text

    def test_neighbours_are_of_the_same_verdict(self, admin_client: Client) -> None:
        first, other, second, third = (
            kept(chooses("T3"), chooses("T3")),
            kept(chooses(), chooses()),
            kept(chooses("T3"), chooses("T3")),
            kept(chooses("T3"), chooses("T3")),
        )
        with rewriting():
            Comparison.objects.update(recorded_at=SEVEN)  # Kept in one batch.
        assert [comparison_detail.around(each).older for each in self.again(first, second, third, other)] == [
            None,
            first.pk,
            second.pk,
            None,
        ]
        assert [comparison_detail.around(each).newer for each in self.again(first, second, third, other)] == [
            second.pk,
            third.pk,
            None,
            None,
        ]
        assert (
            reverse("admin:rollout_comparison_change", args=[third.pk])
            in admin_client.get(reverse("admin:rollout_comparison_change", args=[second.pk])).content.decode()
        )

    @staticmethod
    def again(*rows: Comparison) -> list[Comparison]:
        return [Comparison.objects.get(pk=row.pk) for row in rows]

    def test_it_leads_to_the_booking_and_says_how_to_decide_again(self, admin_client: Client) -> None:
        comparison = kept(chooses("T3"), chooses("T3"))
        assert "manage.py rollout backtest --file FILE" in page(admin_client, comparison)
        assignment = Assignment.objects.create(
            booking_ref="B1",
            restaurant_ref="R1",
            service_date=SEVEN.date(),
            starts_at=SEVEN,
            party=4,
            requested_at=SEVEN,
            due_at=SEVEN,
        )
        answer = admin_client.get(reverse("admin:rollout_comparison_change", args=[comparison.pk]))
        assert reverse("admin:assignments_assignment_change", args=[assignment.pk]) in answer.content.decode()
        assert "manage.py rollout backtest --restaurant R1 --from 2030-01-14 --to 2030-01-14" in text_of(answer)

    @pytest.mark.parametrize(
        "spoilt",
        [
            {"floor": {}},
            {"floor": []},
            {"floor": {"tables": "none", "timezone": "Nowhere/At_All"}},
            {"snapshot": {}},
            {"snapshot": {"floor": "another"}},
            {"control": {}},
            {"control": {"refusal": None}},
            {"control": None},
            {"candidate": {"refusal": ["no_such_reason", "x"]}},
            {"candidate": []},
            {"candidate": "nonsense"},
        ],
    )
    def test_what_cannot_be_read_is_named_and_the_rest_is_shown(
        self, admin_client: Client, spoilt: dict[str, Any]
    ) -> None:
        comparison = kept(chooses("T2"), chooses("T3"))
        if "floor" in spoilt:
            FloorRecord.objects.update(content=spoilt["floor"])
        elif spoilt.get("control", "") is None:
            with rewriting():
                Comparison.objects.update(control=[])
        else:
            with rewriting():
                Comparison.objects.update(**spoilt)
        text = page(admin_client, comparison)
        assert "Parts of this comparison cannot be read" in text
        assert comparison.snapshot_hash in text
        text_of(admin_client.get(reverse(LIST)))

    def test_odd_values_in_a_readable_snapshot_are_no_error(self, admin_client: Client) -> None:
        comparison = kept(chooses("T2"), chooses("T3"))
        for change in (
            {"now": "2030-01-01T00:00:00"},
            {"occupied": [["T2", "2030-01-14T18:00:00", "2030-01-14T19:00:00", None]]},
            {"occupied": [[7, SEVEN.isoformat(), SEVEN.isoformat(), None]]},
        ):
            with rewriting():
                Comparison.objects.update(snapshot={**comparison.snapshot, **change})
            page(admin_client, comparison)
        for party in ("four", None, 4.5, -1):
            request = {**comparison.snapshot["request"], "party": party}
            with rewriting():
                Comparison.objects.update(snapshot={**comparison.snapshot, "request": request})
            page(admin_client, comparison)

    def test_a_night_past_midnight_is_drawn(self, admin_client: Client) -> None:
        comparison = kept(chooses("T2"), chooses("T3"))
        request = {**comparison.snapshot["request"], "starts_at": "2030-01-15T00:30:00+00:00"}
        with rewriting():
            Comparison.objects.update(snapshot={**comparison.snapshot, "request": request})
        assert "time of this seating" in page(admin_client, comparison)

    def test_after_midnight_it_leads_to_the_evening_before(self, admin_client: Client, settings: Any) -> None:
        settings.ASSIGNMENTS = {**settings.ASSIGNMENTS, "HOST": "tests.rollout.admin.test_comparison_page.LateHost"}
        half_past_midnight = SEVEN + timedelta(hours=5, minutes=30)
        comparison = kept(chooses("T3"), chooses("T3"))
        with rewriting():
            Comparison.objects.update(starts_at=half_past_midnight, service_date=half_past_midnight.date())
        Assignment.objects.create(
            booking_ref="B1",
            restaurant_ref="R1",
            service_date=half_past_midnight.date(),
            starts_at=half_past_midnight,
            party=4,
            requested_at=SEVEN,
            due_at=SEVEN,
        )
        html = admin_client.get(reverse("admin:rollout_comparison_change", args=[comparison.pk])).content.decode()
        assert "/serviceday/?restaurant=R1&amp;day=2030-01-14" in html

    def test_one_that_is_not_there_is_not_found(self, admin_client: Client) -> None:
        for pk in ("999999", "nonsense", "9" * 40):
            assert admin_client.get(reverse("admin:rollout_comparison_change", args=[pk])).status_code == 404

    def test_nothing_on_it_breaks_a_strict_content_security_policy(self, admin_client: Client) -> None:
        comparison = kept(chooses("T2"), chooses("T3"))
        for url in (reverse("admin:rollout_comparison_change", args=[comparison.pk]), reverse(LIST)):
            html = admin_client.get(url).content.decode()
            assert " style=" not in html
            assert "<style" not in html
            assert not re.search(r"\son[a-z]+=", html)


class TestList:
    def test_classes_are_counted_at_the_top_and_lead_to_their_comparisons(self, admin_client: Client) -> None:
        kept(chooses("T3"), chooses("T3"))
        kept(chooses("T3"), chooses("T3"))
        kept(chooses("T3"), None, verdict="")
        counted = {row["words"]: row["count"] for row in comparisons.counts()}
        assert counted[VERDICTS[Verdict.SAME_TABLES]] == 2
        assert counted[VERDICTS[""]] == 1
        text = text_of(admin_client.get(reverse(LIST)))
        assert "2 same tables" in text
        for row, listed in ((comparisons.counts()[0], 2), (comparisons.counts()[-1], 1)):
            assert f"{listed} comparison" in text_of(admin_client.get(row["url"]))

    def test_who_sees_other_restaurants_has_other_counts(self, admin_client: Client, monkeypatch: Any) -> None:
        kept(chooses("T3"), chooses("T3"))
        assert "1 same tables" in text_of(admin_client.get(reverse(LIST)))
        for allowed, count in ((["elsewhere"], 0), ([Comparison.objects.get().restaurant_ref], 1)):
            monkeypatch.setattr(comparisons, "restaurants_of", lambda _request, found=allowed: frozenset(found))
            assert f"{count} same tables" in text_of(admin_client.get(reverse(LIST)))

    def test_counting_ends(self, admin_client: Client, monkeypatch: Any) -> None:
        monkeypatch.setattr(comparisons, "COUNTED", 1)
        for _each in range(3):
            kept(chooses("T3"), chooses("T3"))
        assert "1+ same tables" in text_of(admin_client.get(reverse(LIST)))

    def test_rows_say_who_chose_which_tables_when(self, admin_client: Client) -> None:
        kept(chooses("T2", "T3"), chooses("T3"))
        text = text_of(admin_client.get(reverse(LIST)))
        assert "V3 is better 4 14 Jan 2030, 19:00 GMT T2 + T3 T3 1.50 / 2.25" in text

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("verdict__exact=v3_error", 1),
            ("verdict__exact=waiting", 0),
            ("origin__exact=backtest", 1),
            ("restaurant=R1", 2),
            ("restaurant=R2", 0),
            ("error=timeout", 1),
            ("error=nonsense", 0),
            ("service_date__year=2030&service_date__month=1", 2),
            ("q=B1", 2),
        ],
    )
    def test_it_can_be_filtered(self, admin_client: Client, query: str, found: int) -> None:
        kept(chooses("T3"), chooses("T3"), origin="backtest")
        kept(chooses("T3"), None, verdict="v3_error", error="timeout")
        text = text_of(admin_client.get(f"{reverse(LIST)}?{query}"))
        assert f"{found} comparison" in text

    def test_an_empty_list_says_where_comparisons_come_from(self, admin_client: Client) -> None:
        assert "No comparisons yet." in text_of(admin_client.get(reverse(LIST)))

    def test_a_filter_that_finds_nothing_is_no_empty_list(self, admin_client: Client) -> None:
        kept(chooses("T3"), chooses("T3"))
        assert "No comparisons yet." not in text_of(admin_client.get(f"{reverse(LIST)}?restaurant=R2"))


class TestAllowed:
    def test_without_the_permission_there_is_no_page(self, client: Client, django_user_model: Any) -> None:
        comparison = kept(chooses("T3"), chooses("T3"))
        user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
        client.force_login(user)
        urls = reverse("admin:rollout_comparison_change", args=[comparison.pk]), reverse(LIST)
        assert [client.get(url).status_code for url in urls] == [403, 403]
        user.user_permissions.set(Permission.objects.filter(codename="view_comparison"))
        assert [client.get(url).status_code for url in urls] == [200, 200]

    def test_nothing_can_be_changed_here(self, admin_client: Client) -> None:
        comparison = kept(chooses("T3"), chooses("T3"))
        url = reverse("admin:rollout_comparison_change", args=[comparison.pk])
        assert admin_client.post(url, {"verdict": "better"}).status_code == 403


class TestCost:
    def test_pages_cost_the_same_whatever_the_number_of_comparisons(self, admin_client: Client) -> None:
        def queries(url: str) -> int:
            with CaptureQueriesContext(connection) as captured:
                assert admin_client.get(url).status_code == 200
            return len(captured)

        comparison = kept(chooses("T3"), chooses("T3"))
        kept(chooses("T3"), chooses("T3"))
        urls = (
            reverse(LIST),
            f"{reverse(LIST)}?verdict__exact=same_tables",
            reverse("admin:rollout_comparison_change", args=[comparison.pk]),
        )
        few = [queries(url) for url in urls]
        with rewriting():
            Comparison.objects.bulk_create(
                [Comparison(**facts) for facts in [values_of(comparison)] * 2_000], batch_size=1000
            )
        assert [queries(url) for url in urls] == few
        assert max(few) < 20


def values_of(comparison: Comparison) -> dict[str, Any]:
    return {
        field.attname: getattr(comparison, field.attname)
        for field in Comparison._meta.concrete_fields
        if field.attname not in {"id", "recorded_at"}
    }
