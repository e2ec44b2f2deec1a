"""The Rollout page in the admin: what it shows, what each button does, and who may press it."""

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import resolve, reverse
from waffle.models import Switch

from assignments.coordination import dispatch
from assignments.models import Attempt
from assignments.planning.text import gettext as _
from assignments.staff.moments import local_moment
from example import models
from rollout.admin import overview
from rollout.control import change_log, steering, switches
from rollout.evidence import measuring
from rollout.flags import resolution
from rollout.flags.resolution import Mode
from rollout.models import Change, ComparisonTally, ForcedPlanner, GuardRun, Position, Waiver
from rollout.policy.guardrails import Breach
from tests.docs.document import DOCS
from tests.example.conftest import load
from tests.rollout.control.test_steering import WHO, climb, configure, last_change
from tests.rollout.evidence.test_measuring import compared

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "admin:rollout_position_changelist"
REASON = "it is Tuesday, and quiet"


@pytest.fixture(autouse=True)
def ladder(settings: Any) -> None:
    configure(settings)


@pytest.fixture
def staff(client: Client, django_user_model: Any) -> Any:
    """A client of staff with these permissions of the rollout, and no others."""

    def allowed(*codenames: str) -> Client:
        user = django_user_model.objects.create_user("anna", password="x", is_staff=True)
        wanted = Permission.objects.filter(content_type__app_label="rollout", codename__in=codenames)
        assert wanted.count() == len(codenames)
        user.user_permissions.set(wanted)
        client.force_login(user)
        return client

    return allowed


def text_of(answer: Any) -> str:
    """What is read on the page, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def page(client: Client) -> str:
    answer = client.get(reverse(PAGE))
    assert answer.status_code == 200
    return text_of(answer)


def confirm(client: Client, name: str, *args: Any, **values: Any) -> Any:
    """Open the confirmation and send it as it is shown, with a reason and these values."""
    url = reverse(f"admin:rollout_{name}", args=args)
    shown = client.get(url)
    assert shown.status_code == 200
    form = shown.context["form"]
    hidden = {field.name: field.value() or "" for field in form if field.name in {"seen", "lifts", "to"}}
    return client.post(url, {**hidden, "reason": REASON, **values}, follow=True)


SECRET = 'connection to server at "db.secret", port 5432 failed: FATAL: password of user "booking"'


def promotion(client: Client) -> dict[str, str]:
    """What the confirmation of a promotion sends, as it is shown."""
    form = client.get(reverse("admin:rollout_promote")).context["form"]
    return {"seen": form["seen"].value(), "lifts": form["lifts"].value(), "reason": REASON}


def stage() -> str:
    position = steering.current()
    assert position is not None
    return position.stage


def recorded() -> tuple[str, str, str, str]:
    change = last_change()
    assert change.reason == REASON
    return change.kind, change.subject, change.before, change.after


class TestShown:
    def test_a_ladder_that_has_not_begun_is_an_empty_page_that_says_what_to_do(self, admin_client: Client) -> None:
        text = page(admin_client)
        for said in (
            "The ladder has not begun: the flags alone decide.",
            "Begin the ladder…",
            "Gates are measured once the ladder has begun.",
            "No restaurant has a forced planner.",
            "There are no waivers.",
            "No run yet.",
            "No changes yet.",
        ):
            assert said in text
        assert "Promote to" not in text

    def test_without_evidence_it_says_where_evidence_comes_from(self, admin_client: Client) -> None:
        climb("shadow")
        text = page(admin_client)
        assert "No comparisons yet" in text
        assert "manage.py rollout compare" in text

    def test_it_shows_the_source_of_each_flag(self, admin_client: Client, settings: Any) -> None:
        variables = {"FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW": "yes"}
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": variables}
        switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)
        text = page(admin_client)
        assert "assignment_pipeline_v3 off switch off FEATURE_ASSIGNMENT_PIPELINE_V3 not set" in text
        assert (
            "assignment_pipeline_v3_shadow on environment variable no row FEATURE_ASSIGNMENT_PIPELINE_V3_SHADOW=yes"
        ) in text
        assert "Mode the legacy planner decides, V3 watches shadow" in text

    def test_it_shows_that_everything_is_killed(self, admin_client: Client, settings: Any) -> None:
        climb("full")
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
        text = page(admin_client)
        assert "ASSIGNMENT_PIPELINE_KILL is set: the legacy planner decides everything" in text
        assert "assignment_pipeline_v3 off kill variable on" in text

    def test_it_shows_stage_gates_obstacles_and_what_comes_next(self, admin_client: Client, settings: Any) -> None:
        configure(settings, gates={"comparable": 3000})
        climb("shadow")
        compared("same_tables", 5)
        compared("worse", 2)
        text = page(admin_client)
        assert "From shadow to some : V3 decides for 40 % of restaurants." in text
        assert "assignment_pipeline_v3 : off → on" in text
        assert "Too little data (1) decisions compared: " in text
        assert "Stay at this stage until more decisions have been compared" in text
        assert "comparable inconclusive 7 ≥ 3000 7" in text
        assert "worse 2 2" in text
        assert "same_tables 5" in text

    def test_its_headline_says_stage_health_and_what_locks_the_promotion(
        self, admin_client: Client, settings: Any
    ) -> None:
        gates = {"comparable": 3000.0, "restaurants": 4.0}
        configure(settings, gates=gates, soak_hours=24)
        climb("shadow")
        Position.objects.update(since=datetime.now(UTC) - timedelta(hours=3))
        said = "Shadow for 3 h. Healthy. Promotion locked for 21 h; 2 gates lack data."
        assert said in page(admin_client)
        assert said in text_of(admin_client.get(reverse("admin:index")))
        steering.pause(**WHO)
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
        text = page(admin_client)
        assert "Shadow for 3 h. 1 problem. Paused. Promotion locked for 21 h; 1 gate fails; 2 gates lack data." in text
        assert "Promote is disabled: The rollout is paused: resume it first." in text

    def test_who_may_not_override_sees_why_a_promotion_is_disabled(self, staff: Any, settings: Any) -> None:
        configure(settings, gates={"comparable": 3000})
        climb("shadow")
        text = page(staff("promote"))
        assert "Promote is disabled: 1 gate lacks data." in text

    def test_restaurants_have_names(self, admin_client: Client) -> None:
        restaurant = load("legacy", bookings=2)
        climb("some")
        steering.force_planner(restaurant_ref=str(restaurant.pk), planner=ForcedPlanner.PlannerChoice.V3, **WHO)
        dispatch.register_new()
        text = page(admin_client)
        assert f"{restaurant} ({restaurant.pk}) V3" in text
        assert f"forced planner {restaurant} ({restaurant.pk})" in text
        assert f"V3 decides for 40 % of restaurants: {restaurant}" in text
        listed = admin_client.get(reverse("admin:rollout_forcedplanner_changelist")).content.decode()
        assert f">{restaurant}</a></th>" in listed

    def test_it_shows_who_changed_what_and_why(self, admin_client: Client, admin_user: Any) -> None:
        climb("shadow")
        steering.pause(actor=f"user:{admin_user.pk}", reason="the chef is away")
        text = page(admin_client)
        assert f"pause shadow resumed → paused admin (user:{admin_user.pk}) the chef is away" in text
        assert "yes: promotions are refused" in text

    def test_who_is_no_user_is_named_once(self, admin_client: Client) -> None:
        climb("shadow")
        steering.pause(actor="user:on-call", reason="the chef is away")
        steering.resume(actor="on-call", reason="the chef is back")
        text = page(admin_client)
        assert "user on-call (user:on-call) the chef is away" in text
        assert "resumed on-call the chef is back" in text

    @pytest.mark.legacy_planner
    def test_a_stage_that_the_settings_no_longer_name_can_still_be_left(
        self, admin_client: Client, settings: Any
    ) -> None:
        climb("some")
        settings.ROLLOUT = {
            **settings.ROLLOUT,
            "LADDERS": {"dev": [{"key": "off"}, {"key": "shadow", "shadow": True}]},
        }
        assert "has no stage 'some'" in page(admin_client)
        confirm(admin_client, "roll_back")
        assert stage() == "shadow"

    @pytest.mark.legacy_planner
    def test_it_opens_when_the_gates_cannot_be_measured(self, admin_client: Client, monkeypatch: Any) -> None:
        climb("some")

        def fail(*args: Any, **kwargs: Any) -> None:
            raise OperationalError("canceling statement due to statement timeout")

        monkeypatch.setattr("rollout.evidence.measuring.measure", fail)
        text = page(admin_client)
        assert "The gates could not be measured (OperationalError)" in text
        assert "Roll back…" in text
        confirm(admin_client, "roll_back")
        assert stage() == "shadow"

    def test_it_costs_the_same_whatever_the_number_of_comparisons(self, admin_client: Client) -> None:
        climb("shadow")

        def queries() -> int:
            with CaptureQueriesContext(connection) as captured:
                page(admin_client)
            return len(captured)

        compared("same_tables", 3)
        few = queries()
        compared("worse", 300)
        for number in range(20):
            steering.waive(verdict="worse", owner="us", expires_at=soon(), restaurant_ref=f"R{number}", **WHO)
        assert queries() == few <= 12

    @pytest.mark.parametrize(
        "stage",
        [
            pytest.param("off", marks=pytest.mark.legacy_planner),
            pytest.param("some", marks=pytest.mark.legacy_planner),
            "full",
        ],
    )
    def test_at_every_stage_it_costs_few_queries_whatever_the_number_of_bookings_and_restaurants(
        self, staff: Any, stage: str
    ) -> None:
        client = staff("view_position", "promote", "roll_back")
        climb(stage)
        # Where V3 decides for some, it does for this one: a key decides about the others.
        steering.force_planner(restaurant_ref=str(load_a_few("One").pk), planner=ForcedPlanner.PlannerChoice.V3, **WHO)
        dispatch.register_new()
        list(dispatch.run_pass())

        def queries() -> int:
            page(client)  # The first one reads floors that this process does not know yet.
            with CaptureQueriesContext(connection) as captured:
                page(client)
            return len(captured)

        few = queries()
        for name in ("Two", "Three", "Four"):
            load_a_few(name)
        dispatch.register_new()
        list(dispatch.run_pass())
        assert queries() == few < 20

    def test_nothing_on_it_breaks_a_strict_content_security_policy(self, admin_client: Client) -> None:
        climb("shadow")
        ForcedPlanner.objects.create(restaurant_ref="7", planner="v3", actor="user:1", reason="x")
        for url in (reverse(PAGE), *(reverse(f"admin:rollout_{each}") for each in ("promote", "roll_back", "waive"))):
            html = admin_client.get(url).content.decode()
            assert " style=" not in html
            assert "<style" not in html
            assert not re.search(r"\son[a-z]+=", html)
            assert not re.search(r"<script(?![^>]*\ssrc=)", html)

    def test_what_people_wrote_is_shown_and_not_run(self, admin_client: Client) -> None:
        climb("shadow")
        steering.pause(actor="user:1", reason="<script>alert(1)</script>")
        html = admin_client.get(reverse(PAGE)).content.decode()
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html


def load_a_few(name: str) -> models.Restaurant:
    """Twelve bookings of the real evening: queries that grow with them grow with a few."""
    return load("v3", name=name, bookings=12)


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def test_the_record_is_searched_for_words_and_for_who(admin_client: Client) -> None:
    climb("shadow")
    steering.pause(actor="user:1", reason="the chef is away")
    url = reverse("admin:rollout_change_changelist")
    for term, found in (("chef", 1), ("user:1", 3), ("user", 0), ("sous-chef", 0)):
        assert len(admin_client.get(url, {"q": term}).context["cl"].result_list) == found, term


class TestDrawn:
    def charts(self, client: Client) -> dict[str, Any]:
        return {chart.id: chart for chart in client.get(reverse(PAGE)).context["charts"]}

    def test_its_table_says_the_hours_of_utc_wherever_the_server_stands(
        self, admin_client: Client, settings: Any
    ) -> None:
        settings.TIME_ZONE = "Asia/Kolkata"
        compared("same_tables", 6)
        moment = self.charts(admin_client)["parity"].x[0]
        assert f" {local_moment(moment)} " in page(admin_client)

    def test_parity_is_drawn_day_by_day_pruned_ones_included(self, admin_client: Client) -> None:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        compared("same_tables", 6)
        compared("better", 2)
        compared("worse", 1)
        compared("only_legacy_seats", 1)
        compared("unsafe", 1, recorded_at=today - timedelta(days=3))
        compared("", 5)
        ComparisonTally.objects.create(
            day=(today - timedelta(days=5)).date(), restaurant_ref="R1", verdict="only_v3_seats", comparisons=4
        )
        compared("unsafe", 9, recorded_at=today - timedelta(days=40))
        parity = self.charts(admin_client)["parity"]
        assert parity.caption == "Parity by day (UTC)"
        assert list(parity.x) == [today - timedelta(days=5), today - timedelta(days=3), today]
        assert {series.label: list(series.values) for series in parity.series} == {
            "same, equally good, or better": [0, 0, 80],
            "worse": [0, 0, 10],
            "only V3 seats": [100, 0, 0],
            "only the legacy planner seats": [0, 0, 10],
            "unsafe or error": [0, 100, 0],
        }

    def test_the_first_two_days_are_drawn_hour_by_hour(self, admin_client: Client) -> None:
        hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        compared("same_tables", 3)
        compared("worse", 1, recorded_at=hour - timedelta(hours=5))
        parity = self.charts(admin_client)["parity"]
        assert (parity.caption, list(parity.x)) == ("Parity by hour (UTC)", [hour - timedelta(hours=5), hour])

    def test_what_v3_seated_is_drawn_once_it_decides(self, admin_client: Client) -> None:
        assert self.charts(admin_client) == {}
        load("v3")
        dispatch.register_new()
        list(dispatch.run_pass())
        seated = {series.label: list(series.values) for series in self.charts(admin_client)["seated"].series}
        assert seated["legacy planner"] == [None]
        # 76 of the 79 whose wait is over; those that are tried again have not waited to the end.
        assert seated["V3"] == [round(100 * 76 / 79, 2)]
        # What the host had confirmed by itself, V3 only hands to staff.
        Attempt.objects.filter(outcome="manual_review").update(reason="confirmed_by_host")
        seated = {series.label: list(series.values) for series in self.charts(admin_client)["seated"].series}
        assert seated["V3"] == [100]

    def test_what_the_guard_found_is_said_in_the_users_language(self, admin_client: Client) -> None:
        found = Breach(
            rail="overlaps", value=2, limit=0, sample=1, detail=_("overlapping pairs of seatings: %(count)s", count=2)
        )
        run = GuardRun.objects.create(environment="dev", stage="full", breaches=[found.as_dict()])
        for url in (reverse(PAGE), reverse("admin:rollout_guardrun_change", args=[run.pk])):
            assert "overlapping pairs of seatings: 2" in admin_client.get(url).content.decode()
            german = admin_client.get(url, headers={"Accept-Language": "de"}).content.decode()
            assert "Paare von Belegungen, die sich überschneiden: 2" in german

    def test_a_gate_is_drawn_and_said(self, admin_client: Client, settings: Any) -> None:
        configure(settings, gates={"comparable": 10, "unsafe": 0})
        climb("shadow")
        compared("same_tables", 5)
        html = admin_client.get(reverse(PAGE)).content.decode()
        assert 'aria-label="5; at least 10 required"' in html
        assert 'aria-label="0; at most 0 allowed"' in html
        meters = {row["result"].gate: row["meter"] for row in admin_client.get(reverse(PAGE)).context["gate_rows"]}
        short, fine = meters["comparable"], meters["unsafe"]
        assert short["value"] < short["allowed_from"] == short["threshold"]
        assert fine["allowed_from"] <= fine["value"] <= fine["allowed_from"] + fine["allowed_width"]

    def test_when_only_the_course_cannot_be_measured_the_gates_are_shown(
        self, admin_client: Client, monkeypatch: Any
    ) -> None:
        climb("shadow")

        def fail(*args: Any) -> None:
            raise OperationalError

        monkeypatch.setattr("rollout.admin.overview.course", fail)
        answer = admin_client.get(reverse(PAGE))
        assert "gates pass" in text_of(answer)
        assert answer.context["charts"] == ()


class TestInAnotherLanguage:
    @pytest.fixture(autouse=True)
    def _catalogue(self, monkeypatch: Any) -> None:
        """A language in which each template says that it was translated, and keeps its places."""
        monkeypatch.setattr("assignments.staff.labels._", lambda text: f"«{text}»")

    def test_gates_obstacles_and_drift_are_said_in_it(self, admin_client: Client, settings: Any) -> None:
        configure(settings, gates={"comparable": 10})
        climb("shadow")
        steering.pause(**WHO)
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
        text = page(admin_client)
        for said in (
            "«decisions compared since evidence began to count, in shadow mode and in backtests»",
            "«The rollout is paused.»",
            "«assignment_pipeline_v3_shadow is «off» (by «switch») and should be «on»»",
        ):
            assert said in text

    def test_refusals_are_said_in_it(self, admin_client: Client) -> None:
        answer = confirm(admin_client, "force", restaurant_ref="999999", planner="v3")
        assert "«The host has no restaurant '999999'.»" in text_of(answer)
        answer = admin_client.get(reverse("admin:rollout_pause"), follow=True)
        assert "«The rollout of dev has not begun its ladder" in text_of(answer)

    def test_commands_and_the_record_stay_english(self) -> None:
        climb("shadow")
        steering.promote(from_stage="shadow", override=True, **WHO)
        assert "«" not in str(last_change().evidence)


class TestSteering:
    def test_begin(self, admin_client: Client, admin_user: Any) -> None:
        answer = confirm(admin_client, "begin")
        assert "The ladder has begun at off." in text_of(answer)
        assert recorded() == ("stage", "off", "", "off")
        assert last_change().actor == f"user:{admin_user.pk}"

    def test_promote_shows_gates_and_switches_and_goes_on(self, admin_client: Client, admin_user: Any) -> None:
        climb("off")
        text = text_of(admin_client.get(reverse("admin:rollout_promote")))
        assert "Promote from off to shadow" in text
        assert "assignment_pipeline_v3_shadow : off → on" in text
        assert "assignment_pipeline_v3 : stays off" in text
        assert "soak pass" in text
        assert "Nothing is blocking promotion." in text
        assert "Override" not in text
        answer = confirm(admin_client, "promote")
        assert "Promoted to shadow" in text_of(answer)
        assert (stage(), resolution.read().mode) == ("shadow", Mode.SHADOW)
        assert recorded() == ("stage", "shadow", "off", "shadow")
        assert (last_change().actor, last_change().overridden) == (f"user:{admin_user.pk}", False)

    def test_promote_names_the_restaurants_that_join(self, admin_client: Client, settings: Any) -> None:
        restaurant = load("legacy", bookings=2)
        dispatch.register_new()
        stages = [{"key": "off"}, {"key": "full", "v3": True, "percent": 100}]
        settings.ROLLOUT = {**settings.ROLLOUT, "LADDERS": {"dev": stages}}
        climb("off")
        text = text_of(admin_client.get(reverse("admin:rollout_promote")))
        assert f"1 restaurant with upcoming bookings joins: {restaurant}" in text

    @pytest.mark.parametrize("error", [OperationalError, LookupError], ids=["database", "host"])
    def test_gates_that_cannot_be_measured_promote_nothing_and_say_the_errors_type_alone(
        self, admin_client: Client, monkeypatch: Any, error: type[Exception]
    ) -> None:
        climb("off")
        sent = promotion(admin_client)

        def fail(*args: Any, **kwargs: Any) -> None:
            raise error(SECRET)

        monkeypatch.setattr("rollout.evidence.measuring.measure", fail)
        url = reverse("admin:rollout_promote")
        for answer in (admin_client.get(url, follow=True), admin_client.post(url, sent, follow=True)):
            text = text_of(answer)
            assert f"The gates could not be measured ({error.__name__}), so nothing was promoted." in text
            assert "db.secret" not in text
            assert answer.redirect_chain == [(reverse(PAGE), 302)]
        assert stage() == "off"

    def test_a_connection_lost_at_commit_leaves_it_open_whether_it_was_promoted(
        self, admin_client: Client, monkeypatch: Any
    ) -> None:
        climb("off")
        sent = promotion(admin_client)
        promote = steering.promote

        def lost(**more: Any) -> None:
            promote(**more)
            raise OperationalError(SECRET)

        monkeypatch.setattr(steering, "promote", lost)
        answer = admin_client.post(reverse("admin:rollout_promote"), sent, follow=True)
        text = text_of(answer)
        assert "(OperationalError). It is not known whether the change was made" in text
        assert "nothing is promoted" not in text
        assert "db.secret" not in text
        assert stage() == "shadow"

    @pytest.mark.legacy_planner
    def test_a_database_that_fails_under_a_rollback_is_told_by_its_type(
        self, admin_client: Client, monkeypatch: Any
    ) -> None:
        climb("full")
        url = reverse("admin:rollout_roll_back")
        form = admin_client.get(url).context["form"]
        sent = {**form.initial, "to": "shadow", "reason": "errors", "confirm": "on"}

        def fail(**more: Any) -> None:
            raise OperationalError(SECRET)

        monkeypatch.setattr(steering, "roll_back", fail)
        text = text_of(admin_client.post(url, sent, follow=True))
        assert "The database failed (OperationalError). It is not known whether the change was made" in text
        assert "db.secret" not in text
        assert stage() == "full"

    def test_measuring_for_a_promotion_has_the_pages_patience_which_the_document_says(
        self, admin_client: Client, monkeypatch: Any
    ) -> None:
        climb("off")
        seen = []
        one_moment = measuring.one_moment

        def watched(statement_timeout_ms: int = measuring.STATEMENT_TIMEOUT_MS) -> Any:
            seen.append(statement_timeout_ms)
            return one_moment(statement_timeout_ms)

        monkeypatch.setattr(measuring, "one_moment", watched)
        page(admin_client)
        confirm(admin_client, "promote")
        assert stage() == "shadow"
        assert len(seen) >= 3
        assert set(seen) == {overview.PATIENCE_MS}
        text = " ".join((DOCS / "pages.md").read_text().split())
        assert f"measured in time ({overview.PATIENCE_MS // 1000} seconds per statement)" in text
        assert f"`manage.py rollout promote` waits for {measuring.STATEMENT_TIMEOUT_MS // 1000} seconds" in text

    @pytest.mark.legacy_planner
    def test_roll_back_goes_to_the_previous_safe_stage_or_to_a_chosen_one(self, admin_client: Client) -> None:
        climb("full")
        assert "Rolled back to shadow" in text_of(confirm(admin_client, "roll_back"))
        assert recorded() == ("stage", "shadow", "full", "shadow")
        climb("full")
        confirm(admin_client, "roll_back", to="some")
        assert recorded() == ("stage", "some", "full", "some")

    def test_at_the_bottom_the_button_to_roll_back_is_disabled_and_says_why(self, admin_client: Client) -> None:
        climb("off")
        assert f'href="{reverse("admin:rollout_roll_back")}"' not in admin_client.get(reverse(PAGE)).content.decode()
        assert "Roll back is disabled: this is the lowest stage." in page(admin_client)
        assert "nothing to roll back" in text_of(admin_client.get(reverse("admin:rollout_roll_back")))

    def test_hold_and_release(self, admin_client: Client) -> None:
        climb("off")
        assert "Pause…" in page(admin_client)
        confirm(admin_client, "pause")
        assert recorded() == ("pause", "off", "resumed", "paused")
        assert "Resume…" in page(admin_client)
        confirm(admin_client, "resume")
        assert recorded() == ("resume", "off", "paused", "resumed")

    @pytest.mark.legacy_planner
    def test_pin_and_unpin(self, admin_client: Client) -> None:
        ref = str(load("legacy", bookings=2).pk)
        confirm(admin_client, "force", restaurant_ref=ref, planner="legacy")
        assert recorded() == ("forced_planner", ref, "", "legacy")
        assert "End it…" in page(admin_client)
        confirm(admin_client, "unforce", ref)
        assert recorded() == ("forced_planner", ref, "legacy", "")
        assert not ForcedPlanner.objects.exists()

    def test_a_restaurant_that_the_host_does_not_know_is_not_pinned(self, admin_client: Client) -> None:
        answer = confirm(admin_client, "force", restaurant_ref="999999", planner="v3")
        assert "The host has no restaurant '999999'." in text_of(answer)
        assert not ForcedPlanner.objects.exists()

    def test_what_is_waived_is_said_in_words_and_in_the_readers_language(self, admin_client: Client) -> None:
        german = {"accept-language": "de"}
        form = text_of(admin_client.get(reverse("admin:rollout_waive"), headers=german))
        assert "V3 ist schlechter (worse)" in form
        assert "Alles, was für die Gruppe passt, ist vergeben. (no_capacity)" in form
        waiver = steering.waive(
            verdict="worse", refusal="no_capacity", owner="us", expires_at=soon(), restaurant_ref="", **WHO
        )
        on_page = text_of(admin_client.get(reverse(PAGE), headers=german))
        assert "V3 ist schlechter worse ( no_capacity )" in on_page
        asked = text_of(admin_client.get(reverse("admin:rollout_withdraw", args=[waiver.pk]), headers=german))
        assert "V3 ist schlechter" in asked
        assert "Betriebsart der bisherige Planer entscheidet" in on_page

    def test_waive_and_withdraw(self, admin_client: Client) -> None:
        asked = {"verdict": "worse", "owner": "floor team", "days": "90", "refusal": "", "restaurant_ref": ""}
        confirm(admin_client, "waive", **asked, at_most="7")
        waiver = Waiver.objects.get()
        assert waiver.at_most == 7
        assert last_change().kind == "waiver"
        assert timedelta(days=89) < waiver.expires_at - datetime.now(UTC) <= timedelta(days=90)
        assert "floor team" in page(admin_client)
        confirm(admin_client, "withdraw", waiver.pk)
        assert recorded() == ("waiver", str(waiver.pk), "worse", "withdrawn")
        assert "There are no waivers." in page(admin_client)

    @pytest.mark.legacy_planner
    def test_each_change_offers_its_way_back(self, admin_client: Client) -> None:
        ref = str(load("v3", bookings=2).pk)
        switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)
        climb("off")
        assert way_back(confirm(admin_client, "promote")) == [("Roll back…", "rollout_roll_back", ())]
        assert way_back(confirm(admin_client, "roll_back")) == [
            ("Promote again, once the gates pass…", "rollout_promote", ())
        ]
        assert way_back(confirm(admin_client, "pause")) == [("Resume…", "rollout_resume", ())]
        assert way_back(confirm(admin_client, "resume")) == [("Pause…", "rollout_pause", ())]
        assert way_back(confirm(admin_client, "toggle", "shadow", "on")) == [
            ("Turn it off again…", "rollout_toggle", ("shadow", "off"))
        ]
        assert way_back(confirm(admin_client, "force", restaurant_ref=ref, planner="v3")) == [
            ("End it…", "rollout_unforce", (ref,))
        ]
        assert way_back(confirm(admin_client, "unforce", ref)) == [("Force a planner…", "rollout_force", ())]
        known = {"verdict": "worse", "owner": "us", "days": "3", "refusal": "", "restaurant_ref": "", "at_most": "7"}
        said = way_back(confirm(admin_client, "waive", **known))
        pk = str(Waiver.objects.get().pk)
        assert said == [("Withdraw it…", "rollout_withdraw", (pk,))]
        assert way_back(confirm(admin_client, "withdraw", pk)) == [("Accept a difference…", "rollout_waive", ())]

    def test_who_may_not_go_back_is_offered_no_way(self, staff: Any) -> None:
        climb("off")
        assert way_back(confirm(staff("promote"), "promote")) == []

    def test_an_expired_waiver_is_named_so(self, admin_client: Client) -> None:
        steering.waive(verdict="worse", owner="us", expires_at=soon(), **WHO)
        Waiver.objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert "expired 1 Jan 2020" in page(admin_client)

    def test_toggle(self, admin_client: Client) -> None:
        text = text_of(admin_client.get(reverse("admin:rollout_toggle", args=["shadow", "on"])))
        assert "assignment_pipeline_v3_shadow: off (by default) → on." in text
        assert "Mode: the legacy planner decides → the legacy planner decides, V3 watches." in text
        answer = confirm(admin_client, "toggle", "shadow", "on")
        assert "The mode is now: the legacy planner decides, V3 watches." in text_of(answer)
        assert recorded() == ("switch", resolution.SHADOW_SWITCH, "", "on")
        confirm(admin_client, "toggle", "shadow", "off")
        assert recorded() == ("switch", resolution.SHADOW_SWITCH, "on", "off")

    @pytest.mark.parametrize("url", ["switches/v9/on/", "switches/v3/perhaps/", "unforce/7/", "withdraw/7/"])
    def test_what_is_not_there_cannot_be_confirmed(self, admin_client: Client, url: str) -> None:
        assert admin_client.get(reverse(PAGE) + url).status_code == 404

    @pytest.mark.parametrize("name", ["promote", "roll_back", "pause", "resume"])
    def test_before_the_ladder_has_begun_one_is_told_so(self, admin_client: Client, name: str) -> None:
        answer = admin_client.get(reverse(f"admin:rollout_{name}"), follow=True)
        assert "has not begun its ladder" in text_of(answer)


class TestRefused:
    @pytest.mark.parametrize("reason", ["", "   "])
    def test_without_a_reason_nothing_is_done(self, admin_client: Client, reason: str) -> None:
        climb("some")
        before = Change.objects.count()
        for name in ("promote", "roll_back", "pause"):
            answer = confirm(admin_client, name, reason=reason)
            assert "This field is required." in text_of(answer)
        assert (stage(), Change.objects.count()) == ("some", before)

    def test_a_contradiction_has_no_button_and_is_refused(self, admin_client: Client) -> None:
        switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
        html = admin_client.get(reverse(PAGE)).content.decode()
        url = reverse("admin:rollout_toggle", args=["shadow", "on"])
        assert url not in html
        assert "The other switch is on: turn it off first." in html
        seen = admin_client.get(url).context["form"]["seen"].value()
        answer = admin_client.post(url, {"reason": REASON, "seen": seen})
        assert "turn it off before" in text_of(answer)
        assert not Switch.objects.filter(name=resolution.SHADOW_SWITCH).exists()

    def test_also_while_killed_a_contradiction_is_refused(self, admin_client: Client, settings: Any) -> None:
        switches.set_switch(resolution.V3_SWITCH, active=True, **WHO)
        settings.ROLLOUT = {**settings.ROLLOUT, "ENVIRONMENT_VARIABLES": {"ASSIGNMENT_PIPELINE_KILL": "1"}}
        confirm(admin_client, "toggle", "shadow", "on")
        assert not Switch.objects.filter(name=resolution.SHADOW_SWITCH).exists()

    def test_a_closed_gate_is_refused_with_every_reason(self, staff: Any, settings: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000}, soak_hours=24)
        client = staff("promote")
        text = text_of(client.get(reverse("admin:rollout_promote")))
        assert "The rollout cannot be promoted now." in text
        answer = confirm(client, "promote")
        for said in (
            "Promotion refused",
            "Locked for now (1) time in stage: ",
            "Too little data (1) decisions compared: ",
        ):
            assert said in text_of(answer)
        assert stage() == "shadow"

    def test_an_override_says_what_it_lifts_and_is_recorded(self, staff: Any, settings: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000})
        client = staff("promote", "override_gates")
        text = text_of(client.get(reverse("admin:rollout_promote")))
        assert "Override: promote despite these obstacles" in text
        assert "Too little data (1) decisions compared: " in text
        assert stage_after(confirm(client, "promote")) == "shadow"
        assert stage_after(confirm(client, "promote", override="on")) == "some"
        assert last_change().overridden is True
        assert "Gate comparable: inconclusive." in last_change().evidence["overridden"][0]

    def test_an_override_lifts_nothing_that_was_not_shown(self, admin_client: Client, settings: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000})
        answer = admin_client.get(reverse("admin:rollout_promote"))
        shown = {name: answer.context["form"][name].value() for name in ("seen", "lifts")}
        assert json.loads(shown["lifts"]) == ["Gate comparable: inconclusive."]
        configure(settings, gates={"comparable": 3000, "unsafe": 0})
        compared("unsafe", 1)
        sent = {**shown, "reason": REASON, "override": "on"}
        answer = admin_client.post(reverse("admin:rollout_promote"), sent, follow=True)
        assert "there are more obstacles than the confirmation showed. Gate unsafe: " in text_of(answer)
        assert stage() == "shadow"

    def test_an_override_does_not_lift_a_hold(self, admin_client: Client) -> None:
        climb("shadow")
        steering.pause(**WHO)
        assert "This cannot be overridden." in text_of(admin_client.get(reverse("admin:rollout_promote")))
        answer = confirm(admin_client, "promote", override="on")
        assert "Resume the rollout." in text_of(answer)
        assert stage() == "shadow"

    @pytest.mark.legacy_planner
    @pytest.mark.parametrize("name", ["promote", "roll_back", "pause"])
    def test_a_confirmation_of_what_has_changed_meanwhile_is_refused(self, admin_client: Client, name: str) -> None:
        climb("some")
        url = reverse(f"admin:rollout_{name}")
        seen = admin_client.get(url).context["form"]["seen"].value()
        steering.roll_back(**WHO)
        climb("some")
        before = Change.objects.count()
        answer = admin_client.post(url, {"seen": seen, "reason": REASON, "to": "shadow"}, follow=True)
        assert "The rollout has changed in the meantime" in text_of(answer)
        assert (stage(), Change.objects.count()) == ("some", before)

    def test_a_switch_that_was_turned_meanwhile_is_refused(self, admin_client: Client) -> None:
        url = reverse("admin:rollout_toggle", args=["v3", "on"])
        seen = admin_client.get(url).context["form"]["seen"].value()
        switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)
        answer = admin_client.post(url, {"seen": seen, "reason": REASON}, follow=True)
        assert "changed in the meantime" in text_of(answer)
        assert resolution.read().v3.value is False

    def test_somebody_else_being_at_it_is_said(self, admin_client: Client, monkeypatch: Any) -> None:
        climb("some")

        def busy(*args: Any, **kwargs: Any) -> None:
            raise change_log.BusyError("Somebody else is at it.")

        monkeypatch.setattr(steering, "roll_back", busy)
        assert "Somebody else is at it." in text_of(confirm(admin_client, "roll_back"))

    def test_the_last_stage_has_no_next(self, admin_client: Client) -> None:
        climb("full")
        text = page(admin_client)
        assert "full is the last stage. The next step is to remove the legacy planner." in text
        assert "Promote to" not in text
        assert "last stage" in text_of(admin_client.get(reverse("admin:rollout_promote")))


def way_back(answer: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    """Links in the message of what was done: their text, and the confirmation that they open."""
    message = re.search(r'<li[^>]*class="success">(.*?)</li>', answer.content.decode(), re.DOTALL)
    assert message
    found = []
    for url, text in re.findall(r'<a href="([^"]+)">(.*?)</a>', message[1]):
        match = resolve(url)
        found.append((text, match.url_name or "", tuple(str(value) for value in match.kwargs.values())))
    return found


def stage_after(answer: Any) -> str:
    assert answer.status_code == 200
    return stage()


BUTTONS: list[tuple[str, tuple[Any, ...], str]] = [
    ("promote", (), "promote"),
    ("roll_back", (), "roll_back"),
    ("pause", (), "pause"),
    ("force", (), "force_planner"),
    ("unforce", ("7",), "force_planner"),
    ("waive", (), "waive"),
    ("withdraw", (1,), "waive"),
    ("toggle", ("v3", "off"), "toggle"),
    ("toggle", ("shadow", "on"), "toggle"),
]


class TestPermissions:
    @pytest.fixture
    def everything(self) -> None:
        """A page on which each button has something to do."""
        climb("some")
        switches.set_switch(resolution.V3_SWITCH, active=False, **WHO)
        Switch.objects.filter(name=resolution.V3_SWITCH).update(active=False)
        Switch.objects.filter(name=resolution.SHADOW_SWITCH).delete()
        ForcedPlanner.objects.create(restaurant_ref="7", planner="v3", actor="user:1", reason="x")
        Waiver.objects.create(pk=1, verdict="worse", owner="us", reason="x", expires_at=soon())

    @pytest.mark.parametrize(("name", "args", "permission"), BUTTONS)
    def test_each_button_has_its_permission_and_no_other_gives_it(
        self, everything: None, staff: Any, name: str, args: tuple[Any, ...], permission: str
    ) -> None:
        if name == "toggle" and args == ("v3", "off"):
            Switch.objects.filter(name=resolution.V3_SWITCH).update(active=True)
        others = {
            "view_position",
            "promote",
            "roll_back",
            "pause",
            "force_planner",
            "waive",
            "toggle",
            "override_gates",
        }
        client = staff(*others - {permission})
        url = reverse(f"admin:rollout_{name}", args=args)
        assert f'href="{url}"' not in client.get(reverse(PAGE)).content.decode()
        before = Change.objects.count()
        assert client.get(url).status_code == 403
        values = {"reason": REASON, "restaurant_ref": "7", "planner": "v3", "verdict": "worse", "owner": "x"}
        assert client.post(url, {**values, "days": 3, "to": "off"}).status_code == 403
        assert Change.objects.count() == before

    @pytest.mark.parametrize(("name", "args", "permission"), BUTTONS)
    def test_with_it_alone_the_page_opens_and_has_the_button(
        self, everything: None, staff: Any, name: str, args: tuple[Any, ...], permission: str
    ) -> None:
        if name == "toggle" and args == ("v3", "off"):
            Switch.objects.filter(name=resolution.V3_SWITCH).update(active=True)
        client = staff(permission)
        url = reverse(f"admin:rollout_{name}", args=args)
        # The flags do not match the stage, so the promotion is disabled, and says so.
        wanted = 'disabled aria-describedby="objection">Promote to full…' if name == "promote" else f'href="{url}"'
        assert wanted in client.get(reverse(PAGE)).content.decode()
        assert client.get(url).status_code == 200

    def test_an_override_without_its_permission_is_forbidden(self, staff: Any, settings: Any) -> None:
        climb("shadow")
        configure(settings, gates={"comparable": 3000})
        client = staff("promote")
        answer = client.get(reverse("admin:rollout_promote"))
        assert "override" not in answer.context["form"].fields
        form = answer.context["form"]
        sent = {"seen": form["seen"].value(), "lifts": form["lifts"].value(), "reason": REASON, "override": "on"}
        assert client.post(reverse("admin:rollout_promote"), sent).status_code == 403
        assert stage() == "shadow"

    def test_a_permission_that_was_taken_away_before_the_confirmation_is_missed(
        self, staff: Any, django_user_model: Any
    ) -> None:
        climb("some")
        client = staff("roll_back")
        url = reverse("admin:rollout_roll_back")
        seen = client.get(url).context["form"]["seen"].value()
        django_user_model.objects.get(username="anna").user_permissions.clear()
        assert client.post(url, {"seen": seen, "reason": REASON, "to": "shadow"}).status_code == 403
        assert stage() == "some"

    def test_whoever_may_only_look_has_no_button(self, everything: None, staff: Any) -> None:
        html = staff("view_position").get(reverse(PAGE)).content.decode()
        assert 'class="button"' not in re.sub(r"<header.*?</header>", "", html, flags=re.DOTALL)

    def test_records_are_linked_for_whoever_may_read_them(self, everything: None, staff: Any, admin_user: Any) -> None:
        record = re.compile(r'href="/admin/rollout/(?:comparison|change|guardrun)/')

        def links(client: Client) -> int:
            return len(record.findall(client.get(reverse(PAGE)).content.decode().partition("<main")[2]))

        reader = Client()
        reader.force_login(admin_user)
        assert links(reader) > 0
        assert links(staff("view_position")) == 0

    def test_staff_without_any_of_them_do_not_see_the_page(self, staff: Any) -> None:
        assert staff("view_forcedplanner").get(reverse(PAGE)).status_code == 403

    def test_a_guest_is_asked_to_log_in(self, client: Client) -> None:
        climb("some")
        for name in ("position_changelist", "promote", "roll_back"):
            answer = client.post(reverse(f"admin:rollout_{name}"), {"reason": REASON})
            assert (answer.status_code, "login" in answer.headers["Location"]) == (302, True)
        assert stage() == "some"

    def test_a_post_without_its_token_is_forbidden(self, admin_user: Any) -> None:
        climb("some")
        client = Client(enforce_csrf_checks=True)
        client.force_login(admin_user)
        assert client.post(reverse("admin:rollout_roll_back"), {"reason": REASON, "to": "off"}).status_code == 403
        assert stage() == "some"


@pytest.mark.parametrize(
    "name", ["change", "guardrun", "forcedplanner", "waiver", "comparisontally", "comparison", "daycomparison", "audit"]
)
def test_what_was_recorded_can_be_read_and_not_changed(admin_client: Client, name: str) -> None:
    climb("shadow")
    model = next(model for model in admin.site._registry if model._meta.label_lower == f"rollout.{name}")
    assert admin_client.get(reverse(f"admin:rollout_{name}_changelist")).status_code == 200
    assert admin_client.get(reverse(f"admin:rollout_{name}_add")).status_code == 403
    row = model._default_manager.first()
    if row is not None:
        url = reverse(f"admin:rollout_{name}_change", args=[row.pk])
        assert admin_client.get(url).status_code == 200
        assert admin_client.post(url, {"reason": "another"}).status_code == 403


def test_the_position_itself_cannot_be_edited(admin_client: Client) -> None:
    climb("shadow")
    url = reverse("admin:rollout_position_change", args=["dev"])
    assert admin_client.get(url).status_code == 200
    assert admin_client.post(url, {"stage": "full", "percent": 100}).status_code == 403
    assert Position.objects.get().stage == "shadow"
