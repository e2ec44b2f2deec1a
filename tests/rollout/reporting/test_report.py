"""The report: what it holds, that others' texts stay texts in it, and what it costs."""

import json
import re
from base64 import b64encode
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.template import Engine
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from markdown_it import MarkdownIt
from markdown_it.token import Token

from assignments.coordination import dispatch
from assignments.models import EveningOptimum
from example import models
from rollout.control import steering, switches
from rollout.flags import resolution
from rollout.models import Change, Comparison, FloorRecord, ForcedPlanner, GuardRun, Position
from rollout.policy.verdict import Verdict
from rollout.reporting import builder, render, sections
from rollout.reporting.render import FORMATS, as_html, as_json, as_markdown
from rollout.reporting.values import Report
from rollout.shadow import comparator, recorder
from tests.built import built_once
from tests.example.conftest import load
from tests.rewriting import rewriting
from tests.rollout.control.test_steering import WHO, climb, configure
from tests.rollout.evidence.test_measuring import compared

# One process builds the evening.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("report")]

HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> | **bold** `code` [go](javascript:alert(3)) &lt; \"'\n# x"
    "\r\n| --- |\n\n- {{ stage }} {% include 'report.css' %} \u202egnp.exe\u2066 \x1b[31m\u2028> y"
)
ALONE = "# > - 1. + ``` ~~~ === ***"
"""What would begin a block of Markdown at a line's beginning."""
SITE = "https://booking.example"
JSON_KEYS: dict[str, set[str] | None] = {
    **dict.fromkeys(("environment", "stage", "since", "percent", "made_at", "paused", "cool_down_until")),
    **dict.fromkeys(("mode", "is_killed", "drift", "release", "restaurants")),
    "powers": {"rule", "is_gate", "rate", "within", "error", "probability"},
    "flags": {"switch", "variable", "value", "source", "raw"},
    "forced_planners": {HOSTILE, "items"},
    "ladder": {"key", "v3", "shadow", "percent", "soak_hours", "is_current"},
    "gates": {"gate", "status", "value", "threshold", "sample", "window", "detail"},
    "facts": {
        *("environment", "stage", "now", "stage_since", "since", "comparisons", "v3", "seatings", "reference_seated"),
        *("unsettled", "unsafe_audits", "unaudited", "waits_minutes", "memory_growth_mb"),
        *(
            "reference_bookings",
            "reference_feasible",
            "reference_infeasible",
            "reference",
            "coverage",
            "waivers_valid",
            "waivers_expired",
            "overlaps",
        ),
        *("lost", "drift", "release", "stage_v3", "stage_seatings", "window", "days"),
    },
    "verdicts": {"verdict", "shadow", "backtest", "not_waived"},
    "days": {"day", "alike", "better", "worse", "harmful"},
    "optima": {
        *("service_date", "restaurant_ref", "seated", "waiting", "possible", "possible_in_any_order", "is_proven"),
        "examined_at",
    },
    "waivers": {*("id", "verdict", "restaurant_ref", "refusal", "owner", "reason", "expires_at", "is_expired")},
    "slowest": {"booking_ref", "restaurant_ref", "party", "starts_at", "milliseconds", "where", "outcome"},
    "differences": {
        *("comparison", "booking_ref", "restaurant_ref", "party", "starts_at", "verdict", "origin", "legacy", "v3"),
        "admin_path",
    },
    "guard": {"looks", "last", "breached"},
    "changes": {"at", "kind", "subject", "before", "after", "actor", "reason", "is_overridden"},
    "next": {"target", "percent", "switches", "joining", "obstacles", "is_open"},
}
"""What people may parse: the names in each object, or in each of a list. None: a plain value."""
AN_OPTIMUM = {"seated": 66, "waiting": 51, "possible": 70, "possible_in_any_order": 76, "is_proven": True}
SECTIONS = [
    *(
        "Status",
        "Next step",
        "Gates",
        "V3's live decisions",
        "Seated and possible",
        "Comparison of both planners",
        "Comparisons by day",
    ),
    *("Waivers", "Largest differences", "Slowest V3 decisions", "Guard", "Change log"),
]


@pytest.fixture(autouse=True)
def environment(settings: Any, monkeypatch: Any) -> None:
    configure(settings)
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


@pytest.fixture
def shadowed(environment: None) -> models.Restaurant:
    """The first half of the real evening in shadow mode, compared."""
    built_once("half an evening in shadow mode", decide_half_an_evening)
    return models.Restaurant.objects.get()


def decide_half_an_evening() -> None:
    restaurant = load("legacy")
    later = restaurant.bookings.order_by("start")[55:]
    restaurant.bookings.filter(pk__in=[booking.pk for booking in later]).delete()
    climb("shadow")
    dispatch.register_new()
    list(dispatch.run_pass())
    assert recorder.flush()
    list(comparator.compare_waiting())


@pytest.fixture
def hostile(environment: None, shadowed: models.Restaurant, settings: Any) -> Report:
    """A report in which everything that others write is hostile."""
    configure(settings, gates={"comparable": 3000})
    for record in FloorRecord.objects.all():
        record.content["tables"] = [[row[0], HOSTILE, *row[2:]] for row in record.content["tables"]]
        record.save()
    soon = datetime.now(UTC) + timedelta(days=1)
    steering.waive(
        verdict="worse", owner=HOSTILE, restaurant_ref=HOSTILE, expires_at=soon, actor="user:1", reason=HOSTILE
    )
    steering.force_planner(
        restaurant_ref=str(shadowed.pk), planner=ForcedPlanner.PlannerChoice.V3, actor=HOSTILE, reason=HOSTILE
    )
    ForcedPlanner.objects.update(restaurant_ref=HOSTILE)
    ForcedPlanner.objects.create(restaurant_ref="items", planner="v3", actor=ALONE, reason=ALONE)
    different = Comparison.objects.filter(verdict__in=["better", "equivalent"])
    with rewriting():
        assert different.update(verdict="worse", restaurant_ref=HOSTILE, booking_ref=HOSTILE)
        Comparison.objects.filter(verdict="both_refuse").update(
            verdict="only_legacy_seats", candidate={**Comparison.objects.filter(verdict="both_refuse")[0].control}
        )
    steering.pause(actor=ALONE, reason=ALONE)
    GuardRun.objects.create(environment="dev", stage=ALONE, breaches=[{"rail": ALONE, "detail": ALONE}])
    GuardRun.objects.create(
        environment="dev", stage=HOSTILE, breaches=[{"rail": HOSTILE, "detail": HOSTILE}], rolled_back_to=HOSTILE
    )
    EveningOptimum.objects.create(restaurant_ref=HOSTILE, service_date=soon.date(), **AN_OPTIMUM)
    return builder.build()


def built(**changed: Any) -> Report:
    return replace(builder.build(), **changed)


def _keys(value: Any) -> set[str] | None:
    if isinstance(value, list):
        (names,) = {frozenset(each) for each in value}
        return set(names)
    return set(value) if isinstance(value, dict) else None


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)


def texts_of(text: str) -> list[str]:
    """The texts of a Markdown document as a reader sees them, without the columns that hold a chart."""
    texts: list[str] = []
    charts: set[int] = set()
    column = 0
    for token in parsed(text):
        if token.type == "table_open":
            charts = set()
        elif token.type == "tr_open":
            column = -1
        elif token.type in {"th_open", "td_open"}:
            column += 1
        elif token.type == "inline":
            shown = "".join(child.content for child in token.children or ())
            if token.level == 4 and (shown == "Chart" or "█ V3" in shown):
                charts.add(column)
            if not (token.level == 4 and column in charts):
                texts.append(shown)
    return texts


class Page(HTMLParser):
    """Every element with its attributes, and whether they close as they open."""

    EMPTY = frozenset({"meta"})
    TEXTS = ("h1", "h2", "h3", "p", "li", "th", "td", "footer")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.styles = ""
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag in self.TEXTS and "nav" not in self.open:
            self.texts.append((tag, ""))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.styles += data
        elif self.texts and {*self.TEXTS} & {*self.open} and "nav" not in self.open:
            tag, text = self.texts[-1]
            self.texts[-1] = (tag, text + data)

    def count(self, tag: str) -> int:
        return sum(1 for name, _ in self.elements if name == tag)


class TestContents:
    def test_it_says_where_the_rollout_stands_and_what_comes_next(self, settings: Any) -> None:
        restaurant = load("legacy", bookings=2)
        climb("shadow")
        configure(settings, gates={"comparable": 3000}, soak_hours=24)
        steering.pause(**WHO)
        steering.force_planner(restaurant_ref=str(restaurant.pk), planner=ForcedPlanner.PlannerChoice.V3, **WHO)
        report = built()
        found = report.as_dict()
        assert [found[name] for name in ("environment", "stage", "percent", "mode")] == ["dev", "shadow", 0, "shadow"]
        assert [(flag["switch"], flag["value"], flag["source"]) for flag in found["flags"]] == [
            (resolution.V3_SWITCH, False, "switch"),
            (resolution.SHADOW_SWITCH, True, "switch"),
        ]
        assert [rung["key"] for rung in found["ladder"] if rung["is_current"]] == ["shadow"]
        assert found["forced_planners"] == {str(restaurant.pk): "v3"}
        assert {gate["gate"]: gate["status"] for gate in found["gates"]} == {
            "soak": "inconclusive",
            "integrity": "pass",
            "flags": "pass",
            "comparable": "inconclusive",
        }
        coming = found["next"]
        assert (coming["target"], coming["percent"], coming["is_open"]) == ("some", 40, False)
        assert coming["switches"] == {resolution.V3_SWITCH: (False, True), resolution.SHADOW_SWITCH: (True, False)}
        assert [(each["kind"], each["is_overridable"]) for each in coming["obstacles"]] == [
            ("pause", False),
            ("gate", True),
            ("gate", True),
        ]
        text = as_markdown(report)
        assert "**Not ready for some: 3 things block the promotion.**" in text
        assert "The rollout is paused" in text
        assert "- Gates that do not pass: soak (inconclusive), comparable (inconclusive)\n" in text
        assert "| comparable | **inconclusive** | 0 | at least 3000 | 0 |" in text

    def test_at_the_top_there_is_no_next_stage(self) -> None:
        climb("full")
        report = built()
        assert (report.as_dict()["next"]["target"], report.plan.is_open) == ("", False)
        assert "This is the last stage" in as_markdown(report)

    def test_flags_that_left_their_stage_are_named(self) -> None:
        climb("shadow")
        switches.set_switch(resolution.SHADOW_SWITCH, active=False, **WHO)
        assert "should be on" in as_markdown(built())

    @pytest.mark.legacy_planner
    def test_it_says_for_which_release_at_how_many_restaurants_and_what_would_be_missed(
        self, shadowed: models.Restaurant, settings: Any
    ) -> None:
        configure(settings, gates={"refused": 0, "candidate_errors": 0})
        report = builder.build()
        found = json.loads(as_json(report))
        assert found["restaurants"] == 1
        (refused,) = (each for each in found["powers"] if each["rule"] == "refused")
        assert refused == {
            "rule": "refused",
            "is_gate": True,
            "rate": 0.005,
            "within": 598,
            "error": 0.0,
            "probability": 0.95,
        }
        said = "0.5% is found with 95% probability within 598 comparisons"
        for text in (as_markdown(report), as_html(report)):
            assert said in text
            assert f"at {found['restaurants']} restaurant." in text
            assert found["release"] in text

    def test_verdicts_are_counted_as_the_gates_count_them(self) -> None:
        climb("shadow")
        compared("same_tables", 5)
        compared("worse", 3, origin="backtest")
        compared("better", 2, booking_ref="again", snapshot_hash="h")
        soon = datetime.now(UTC) + timedelta(days=1)
        steering.waive(verdict="worse", owner="us", expires_at=soon, **WHO)
        report = built()
        counts = {each.verdict: (each.shadow, each.backtest, each.not_waived) for each in report.verdicts}
        assert counts["same_tables"] == (5, 0, 5)
        assert counts["worse"] == (0, 3, 0)
        assert counts["better"] == (1, 0, 1), "what was replayed again counts once"
        assert list(counts) == [verdict.value for verdict in Verdict]
        assert sum(each.count for each in report.verdicts) == report.plan.facts.comparisons.total

    def test_parity_is_told_by_day(self) -> None:
        climb("shadow")
        Position.objects.update(since=datetime.now(UTC) - timedelta(days=5))
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE rollout_change DISABLE TRIGGER USER")
            cursor.execute("UPDATE rollout_change SET at = at - interval '5 days'")
            cursor.execute("ALTER TABLE rollout_change ENABLE TRIGGER USER")
        noon = datetime.now(UTC).replace(hour=12) - timedelta(days=3)
        for verdict in Verdict:
            compared(verdict, recorded_at=noon)
        compared("worse", 2, recorded_at=noon + timedelta(days=1))
        first, second = built().days
        assert (first.day, first.alike, first.better, first.worse, first.harmful) == (noon.date(), 3, 2, 2, 2)
        assert (second.day, second.worse, second.count) == (noon.date() + timedelta(days=1), 2, 2)

    @pytest.mark.legacy_planner
    def test_the_most_different_decisions_come_with_both_choices_and_why(self, shadowed: models.Restaurant) -> None:
        found = built().differences
        assert {each.verdict for each in found} == {"better"}
        first = found[0]
        for choice in (first.legacy, first.v3):
            assert choice.tables
            assert choice.seats - choice.spare_seats == first.party
            assert choice.breakdown
            assert choice.blocked_from is not None
            assert "covers" in choice.why
        assert first.legacy.tables != first.v3.tables
        text = as_markdown(built(), site=SITE)
        assert f"(<{SITE}/admin/rollout/comparison/{first.comparison}/change/>)" in text
        assert " + ".join(first.v3.tables) in text

    def test_a_few_of_each_verdict_are_shown_the_gravest_first_and_the_furthest_apart(self) -> None:
        climb("shadow")
        for verdict in Verdict:
            compared(verdict, 5)
        far: Any = {"plans": [{"spare_seats": 4, "table_refs": ["1"]}]}
        near: Any = {"plans": [{"spare_seats": 0, "table_refs": ["1"]}]}
        nonsense: Any = {"plans": [{"spare_seats": "many", "table_refs": 7}]}
        (furthest,) = compared("worse", booking_ref="far", control=near, candidate=far)
        compared("worse", booking_ref="nonsense", control=near, candidate=nonsense)
        found = built().differences
        assert Counter(each.verdict for each in found) == {each.value: 3 for each in builder.DIFFERENT}
        assert [each.verdict for each in found][::3] == [each.value for each in builder.DIFFERENT]
        assert next(each for each in found if each.verdict == "worse").comparison == furthest.pk

    def test_what_cannot_be_read_any_more_is_said_so(self) -> None:
        climb("shadow")
        compared("worse", control={"plans": 7}, candidate={"window": []})
        compared("v3_error", candidate=None, error="timeout")
        error, worse = built().differences
        assert "timeout" in error.v3.why
        assert "cannot be read" in worse.legacy.why

    @pytest.mark.legacy_planner
    def test_a_refusal_says_why(self, shadowed: models.Restaurant) -> None:
        refused = Comparison.objects.filter(verdict="both_refuse", control__refusal__0="no_capacity")[0]
        with rewriting():
            Comparison.objects.filter(pk=refused.pk).update(verdict="only_legacy_seats")
        (found,) = (each for each in built().differences if each.verdict == "only_legacy_seats")
        assert refused.candidate is not None
        assert (found.v3.tables, found.v3.why) == ((), refused.candidate["refusal"][1])

    def test_the_slowest_are_v3s_wherever_it_planned(self) -> None:
        load("v3", bookings=40)
        climb("full")
        dispatch.register_new()
        list(dispatch.run_pass())
        compared("same_tables", candidate_ms=5000.0, booking_ref="slow")
        compared("same_tables", candidate_ms=9000.0, booking_ref="slower", origin="backtest")
        found = built().slowest
        assert [(each.booking_ref, each.where) for each in found[:2]] == [("slower", "backtest"), ("slow", "shadow")]
        assert {each.where for each in found[2:]} == {"live"}
        assert [each.milliseconds for each in found] == sorted((each.milliseconds for each in found), reverse=True)
        assert len(found) == builder.SLOWEST

    def test_waivers_guard_and_changes(self) -> None:
        climb("shadow")
        soon = datetime.now(UTC) + timedelta(days=1)
        first = steering.waive(verdict="worse", owner="us", expires_at=soon, **WHO)
        second = steering.waive(verdict="worse", owner="them", expires_at=soon, **WHO)
        steering.withdraw(waiver_id=second.pk, **WHO)
        type(first).objects.update(expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        climb("some")
        GuardRun.objects.create(environment="dev", stage="some", breaches=[])
        GuardRun.objects.create(
            environment="dev", stage="some", breaches=[{"rail": "lost", "detail": "1"}], rolled_back_to="shadow"
        )
        GuardRun.objects.create(environment="staging", stage="full", breaches=[{"rail": "lost", "detail": "2"}])
        report = built()
        found = report.as_dict()
        assert [(each["owner"], each["is_expired"]) for each in found["waivers"]] == [("us", True)]
        assert found["guard"]["looks"] == 2
        (breached,) = found["guard"]["breached"]
        assert (breached["breaches"], breached["rolled_back_to"]) == (["lost: 1"], "shadow")
        assert (found["changes"][0]["subject"], found["changes"][0]["is_overridden"]) == ("some", False)
        assert len(found["changes"]) == Change.objects.count()
        assert "**expired** 2020-01-01 00:00 UTC" in as_markdown(report)

    @pytest.mark.legacy_planner
    def test_no_guest_is_named_in_any_format(self, shadowed: models.Restaurant) -> None:
        models.Booking.objects.update(guest_name="Q. Zimmermann", guest_email="q@zimmermann.test")
        for written in FORMATS.values():
            assert "immermann" not in written(built())


@pytest.mark.legacy_planner
class TestRendering:
    def test_a_report_is_frozen_and_rendering_asks_no_database(
        self, hostile: Report, django_assert_num_queries: Any
    ) -> None:
        with pytest.raises(FrozenInstanceError):
            hostile.forced_planners = {}  # type: ignore[misc]
        with django_assert_num_queries(0):
            for written in FORMATS.values():
                assert written(hostile) == written(hostile)

    def test_json_keeps_its_keys(self, hostile: Report) -> None:
        found = json.loads(as_json(hostile))
        assert {name: _keys(value) for name, value in found.items()} == JSON_KEYS
        assert _keys(found["differences"][0]["v3"]) == {
            *("why", "tables", "seats", "spare_seats", "blocked_from", "blocked_until", "score", "breakdown")
        }
        assert _keys(found["next"]["obstacles"]) == {"kind", "text", "is_overridable"}
        assert _keys(found["guard"]["breached"]) == {"at", "stage", "breaches", "rolled_back_to"}
        assert found["next"]["is_open"] is False
        assert found["waivers"][0]["reason"] == HOSTILE

    @pytest.mark.parametrize("stage", ["off", "shadow", "full"])
    def test_a_rollout_without_any_evidence_can_be_reported(self, stage: str) -> None:
        climb(stage)
        report = replace(built(), changes=(), slowest=())
        for written in FORMATS.values():
            assert "None" not in written(report, site=SITE)
        said = texts_of(as_markdown(report))
        assert {
            f"V3 has made no decisions at {stage}.",
            "No evening has been examined. manage.py optimize_evenings examines the coming ones on which bookings wait.",
            "No comparisons yet; 0 decisions waiting to be compared.",
            "No data yet.",
            "No differences are waived.",
            "The planners did not differ.",
            "No planning times measured yet.",
            f"Guard runs since {stage} began: 0.",
            "No guardrail was ever breached.",
            "No changes yet.",
            *SECTIONS,
        } <= {*said}
        assert said == [" ".join(text.split()) for _tag, text in Page(as_html(report)).texts]

    def test_markdown_shows_texts_of_others_as_they_are(self, hostile: Report) -> None:
        tokens = parsed(as_markdown(hostile, site=SITE))
        inline = [child for token in tokens for child in token.children or ()]
        assert not [
            each for each in (*tokens, *inline) if each.type.startswith(("html", "image", "code", "fence", "hr"))
        ]
        assert not [each for each in tokens if each.type.startswith(("blockquote", "ordered"))]
        headings = [
            tokens[n + 1].content for n, each in enumerate(tokens) if each.type == "heading_open" and each.tag == "h2"
        ]
        assert headings == SECTIONS
        links = [each.attrGet("href") for each in inline if each.type == "link_open"]
        assert links
        assert all(str(link).startswith(f"{SITE}/admin/") for link in links)
        shown = "".join(each.content for each in inline)
        assert shown.count("<script>alert(1)</script>") > 20
        assert shown.count("{{ stage }} {% include") > 20
        assert "[go](javascript:alert(3))" in shown
        assert ALONE in shown

    def test_what_is_possible_stands_beside_what_is_seated(self) -> None:
        """As it was stored: the report solves nothing."""
        climb("off")
        day = date(2025, 11, 14)
        EveningOptimum.objects.create(restaurant_ref="R2", service_date=day, **{**AN_OPTIMUM, "is_proven": False})
        EveningOptimum.objects.create(restaurant_ref="R1", service_date=day, **AN_OPTIMUM)
        assert [(each.restaurant_ref, each.seated, each.possible) for each in built().optima] == [
            ("R1", 66, 70),
            ("R2", 66, 70),
        ]
        said = texts_of(as_markdown(built()))
        first = said.index("2025-11-14")
        assert said[first : first + 5] == ["2025-11-14", "R1", "66", "70", "76"]
        second = said.index("R2")
        assert said[second : second + 4] == ["R2", "66", "at most 70", "at most 76"]

    def test_both_formats_say_the_same(self, hostile: Report) -> None:
        page = Page(as_html(hostile, site=SITE)).texts
        assert [text for tag, text in page if tag == "h2"] == SECTIONS
        assert [" ".join(text.split()) for _tag, text in page] == texts_of(as_markdown(hostile, site=SITE))

    @pytest.mark.parametrize("language", ["en", "de"])
    def test_a_projects_templates_and_language_change_nothing(
        self, hostile: Report, settings: Any, language: str
    ) -> None:
        before = [written(hostile) for written in FORMATS.values()]
        settings.TEMPLATES = []
        settings.USE_THOUSAND_SEPARATOR = True
        settings.TIME_ZONE = "Asia/Tokyo"
        with translation.override(language):
            assert [written(hostile) for written in FORMATS.values()] == before

    def test_templates_name_nothing_that_is_not_there(self, hostile: Report, monkeypatch: Any) -> None:
        monkeypatch.setattr(render, "ENGINE", Engine(dirs=[str(render.FOLDER)], string_if_invalid="NOT THERE"))
        for written in (as_markdown, as_html):
            assert "NOT THERE" not in written(hostile, site=SITE)

    def test_every_row_of_a_markdown_table_has_its_columns(self, hostile: Report) -> None:
        text = as_markdown(hostile)
        tables = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
        assert len(tables) > 8
        for table in tables:
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table

    def test_markdown_draws_bars(self, shadowed: models.Restaurant) -> None:
        text = as_markdown(built())
        most = max(built().verdicts, key=lambda each: each.count)
        assert re.search(rf"\| {most.count} \| [\d.]+% \| {'█' * sections.BAR} \|", text)

    def test_the_page_holds_no_script_no_request_and_nothing_that_others_wrote_as_markup(self, hostile: Report) -> None:
        page = Page(as_html(hostile, site=SITE))
        assert page.open == []
        allowed = {"html", "head", "meta", "title", "style", "body", "main", "nav", "section", "article", "footer"}
        allowed |= {"h1", "h2", "h3", "p", "ul", "li", "a", "div", "span", "code"}
        allowed |= {"table", "caption", "thead", "tbody", "tr", "th", "td", "svg", "rect"}
        assert {tag for tag, _ in page.elements} <= allowed
        names = {name for _, attributes in page.elements for name in attributes}
        assert not [name for name in names if name.startswith("on") or name in {"style", "src", "srcset", "srcdoc"}]
        for _tag, attributes in page.elements:
            href = attributes.get("href")
            assert href is None or href.startswith(("#section-", f"{SITE}/admin/rollout/comparison/"))
        assert "url(" not in page.styles
        assert "@import" not in page.styles

    def test_the_pages_own_policy_allows_its_style_sheet_and_nothing_else(self, hostile: Report) -> None:
        page = Page(as_html(hostile))
        (policy,) = (
            attributes["content"]
            for tag, attributes in page.elements
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        )
        digest = b64encode(sha256(page.styles.encode()).digest()).decode()
        assert policy is not None
        assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]

    def test_sections_and_tables_are_named_for_those_who_hear_them(self, hostile: Report) -> None:
        page = Page(as_html(hostile))
        ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(ids) == len(set(ids)) == 2 * len(SECTIONS)
        named = [attributes["aria-labelledby"] for tag, attributes in page.elements if tag == "section"]
        assert len(named) == len(SECTIONS)
        assert set(named) <= set(ids)
        links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
        assert links == [f"#{each}" for each in ids if each and each.startswith("section-")]
        assert page.count("caption") == page.count("table") > 10
        assert all(attributes.get("scope") for tag, attributes in page.elements if tag == "th")
        charts = [attributes for tag, attributes in page.elements if tag == "svg"]
        assert charts
        assert all(chart["aria-hidden"] == "true" for chart in charts), "each stands below its number"

    def test_the_longest_bar_is_the_most_frequent_verdict(self, shadowed: models.Restaurant) -> None:
        report = built()
        lengths = [each["total"]["length"] for each in sections.context(report)["verdicts"]]
        assert lengths.index(100) == [each.count for each in report.verdicts].index(
            max(e.count for e in report.verdicts)
        )
        assert [bool(length) for length in lengths] == [bool(each.count) for each in report.verdicts]

    def test_what_nobody_can_see_is_shown_as_such(self) -> None:
        climb("shadow")
        steering.pause(actor="user:1", reason="look \u202etxt.exe \x1b[31m\u200bhere")
        for written in (as_markdown, as_html):
            text = written(built())
            assert not {"\u202e", "\x1b", "\u200b"} & set(text)
            assert "\N{REPLACEMENT CHARACTER}txt.exe" in text

    def test_without_a_site_nothing_is_linked(self, hostile: Report) -> None:
        assert SITE not in as_html(hostile)
        assert "/admin/" not in as_html(hostile)


class TestCommand:
    @pytest.fixture(autouse=True)
    def _in_a_folder_of_its_own(self, environment: None, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.chdir(tmp_path)
        climb("shadow")

    def test_markdown_goes_to_standard_output(self, capsys: Any) -> None:
        call_command("rollout", "report")
        assert capsys.readouterr().out.startswith("# Rollout of dev: shadow\n")

    @pytest.mark.parametrize("arguments", [["--json"], ["--format", "json"], ["--json", "--format", "json"]])
    def test_json_goes_to_standard_output(self, capsys: Any, arguments: list[str]) -> None:
        call_command("rollout", "report", *arguments)
        assert json.loads(capsys.readouterr().out)["stage"] == "shadow"

    def test_html_goes_to_a_file(self, capsys: Any, tmp_path: Path) -> None:
        call_command("rollout", "report", "--format", "html")
        assert "Wrote rollout-report-dev-shadow.html" in capsys.readouterr().out
        assert (tmp_path / "rollout-report-dev-shadow.html").read_text().startswith("<!doctype html>")

    def test_output_names_a_file_or_standard_output(self, capsys: Any, tmp_path: Path) -> None:
        call_command("rollout", "report", "--output", str(tmp_path / "x.md"))
        assert (tmp_path / "x.md").read_text().startswith("# Rollout of dev")
        capsys.readouterr()
        call_command("rollout", "report", "--format", "html", "--output", "-")
        assert capsys.readouterr().out.startswith("<!doctype html>")

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            (["--output", "nowhere/x.md"], "nowhere/x.md cannot be written: No such file or directory"),
            (["--json", "--format", "html"], "--json and --format html exclude each other"),
            (["--site", "javascript:alert(1)"], "must be an address like https://booking.example"),
            (["--site", "http://["], "must be an address"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, arguments: list[str], named: str, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=re.escape(named)) as refused:
            call_command("rollout", "report", *arguments)
        assert refused.value.returncode in {1, 2}
        assert not list(tmp_path.iterdir())

    def test_a_stage_whose_name_is_no_file_name(self, settings: Any, tmp_path: Path) -> None:
        Position.objects.update(stage="../half way")
        stages = [{"key": "off"}, {"key": "../half way", "shadow": True}]
        settings.ROLLOUT = {**settings.ROLLOUT, "LADDERS": {"dev": stages}}
        call_command("rollout", "report", "--format", "html")
        assert [path.name for path in tmp_path.iterdir()] == ["rollout-report-dev-___half_way.html"]

    def test_before_the_ladder_has_begun_it_is_refused(self) -> None:
        Position.objects.all().delete()
        with pytest.raises(CommandError, match="rollout begin") as refused:
            call_command("rollout", "report")
        assert refused.value.returncode == 1


def test_the_number_of_queries_does_not_grow_and_nothing_is_written() -> None:
    climb("shadow")
    for verdict in Verdict:
        compared(verdict, 2)
    builder.build()
    with CaptureQueriesContext(connection) as few:
        builder.build()
    for verdict in Verdict:
        compared(verdict, 300)
        floor = FloorRecord.objects.create(version=verdict, restaurant_ref="R1", content={})
        compared(verdict, 3, party=20, floor=floor)
    for number in range(40):
        GuardRun.objects.create(environment="dev", stage="shadow", breaches=[{"rail": "lost", "detail": f"{number}"}])
    with CaptureQueriesContext(connection) as many:
        builder.build()
    assert len(many) == len(few) <= 50
    statements = [query["sql"].lstrip().upper() for query in many]
    assert not [sql for sql in statements if sql.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert statements[-1].startswith("ROLLBACK")
