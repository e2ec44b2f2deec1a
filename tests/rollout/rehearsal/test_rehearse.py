"""``rollout rehearse``: V3 broken in every way on a small evidence set, through the command."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from example import twins
from rollout.cli import base
from rollout.models import Comparison, FloorRecord
from rollout.rehearsal.kinds import KINDS
from tests.built import built_once
from tests.rollout.control.test_steering import configure
from tests.rollout.evidence.test_worse_planners import decide_in_shadow_mode, decide_whole_in_shadow_mode

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("worse planners"),
    pytest.mark.legacy_planner,
]

GATES: dict[str, float] = {
    "comparable": 3000,
    "unsafe": 0,
    "refused": 0,
    "parity": 0.5,
    "candidate_errors": 0,
    "candidate_p95_ms": 50,
    "candidate_p99_ms": 100,
    "complete": 0.99,
    "coverage": 20,
    "explanations": 0,
}
ONLY_LIVE = {
    "does_not_tell_the_host": "untold",
    "loses_tables": "lost",
    "drops_bookings": "dropped",
    "moves_to_another_time": "unsafe_seatings",
    "moves_to_too_few_seats": "unsafe_seatings",
    "moves_who_is_fixed": "unsafe_seatings",
    "moves_to_another_zone": "unsafe_seatings",
}
"""What nobody can see before V3 decides, and the guardrail that sees it."""


@pytest.fixture
def gates(settings: Any, monkeypatch: Any, transactional_db: Any) -> None:
    configure(settings, gates=GATES)
    monkeypatch.setenv("DATABASE_NAME", str(connection.settings_dict["NAME"]))
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "tests.settings")


@pytest.fixture
def evidence(gates: None) -> None:
    """Half of the real evening, decided by the legacy planner in shadow mode."""
    built_once("the demanding evening by the legacy planner", decide_in_shadow_mode)


@pytest.fixture
def whole_evidence(gates: None) -> None:
    """All of it: half has too few of those whom some kinds wrong."""
    built_once("the demanding evening by the legacy planner", decide_whole_in_shadow_mode)


def rehearsed(*arguments: str) -> dict[str, Any]:
    out, err = io.StringIO(), io.StringIO()
    call_command("rollout", "rehearse", "--json", *arguments, stdout=out, stderr=err)
    found: dict[str, Any] = json.loads(out.getvalue())
    assert "untouched V3" in err.getvalue(), "progress goes to standard error"
    return found


def contents() -> Any:
    return twins.contents(), list(Comparison.objects.order_by("pk").values()), FloorRecord.objects.count()


def test_every_kind_is_caught_and_v3_as_it_is_never_fails(whole_evidence: None) -> None:
    before = contents()
    found = rehearsed("--runs", "3")
    assert set(found) == {"kinds", "untouched", "not_tried"}
    assert found["not_tried"] == ["soak", "integrity", "flags", "comparable", "complete", "coverage", "explanations"]
    assert [kind["name"] for kind in found["kinds"]] == list(KINDS)
    assert len(KINDS) >= 12
    for kind in found["kinds"]:
        assert set(kind) == {"name", "gate", "comparisons", "rail", "decisions"}
        if kind["name"] in ONLY_LIVE:
            assert (kind["gate"], kind["rail"]) == (None, ONLY_LIVE[kind["name"]])
        else:
            assert kind["gate"], kind
        assert (kind["comparisons"] is None) == (kind["gate"] is None)
        assert (kind["decisions"] is None) == (kind["rail"] is None)
    assert found["untouched"] == {"runs": 3, "failed_gates": 0, "rollbacks": 0}
    assert contents() == before, "a rehearsal must write nothing"


def test_the_same_seed_finds_the_same_and_only_what_is_asked_for(evidence: None) -> None:
    asked = ("--runs", "3", "--kind", "keeps_too_long", "--kind", "refuses_large_parties", "--seed")
    first, again, other = rehearsed(*asked, "7"), rehearsed(*asked, "7"), rehearsed(*asked, "8")
    assert first == again
    assert [kind["name"] for kind in first["kinds"]] == ["keeps_too_long", "refuses_large_parties"]
    assert first != other


def test_a_candidate_that_writes_is_refused_by_the_database(evidence: None, settings: Any) -> None:
    configure(settings, gates=GATES, CANDIDATE="tests.rollout.candidates.updates")
    before = contents()
    with pytest.raises(CommandError, match="Untouched"):
        call_command("rollout", "rehearse", "--runs", "1", stdout=io.StringIO(), stderr=io.StringIO())
    assert contents() == before


def test_the_environments_own_gates_and_guardrails_are_tried(evidence: None, settings: Any) -> None:
    """Without the gate and with a generous guardrail the same fault passes."""
    asked = ("--runs", "3", "--kind", "refuses_large_parties")
    strict = rehearsed(*asked)["kinds"][0]
    configure(settings, gates={"unsafe": 0}, GUARD={"wrong_refusals": 0.9, "review": 0.9, "less_seated": 0.9})
    lenient = rehearsed(*asked)["kinds"][0]
    assert (strict["gate"], strict["rail"]) == ("refused", "wrong_refusals")
    assert (lenient["gate"], lenient["rail"]) == (None, "only_legacy_seats")
    configure(
        settings,
        gates={"unsafe": 0},
        GUARD=dict.fromkeys(("wrong_refusals", "review", "less_seated", "only_legacy_seats"), 0.9),
    )
    assert rehearsed(*asked)["kinds"][0]["rail"] is None


def test_without_evidence_it_says_what_to_do(settings: Any, db: Any) -> None:
    configure(settings, gates=GATES)
    with pytest.raises(CommandError, match="no evidence to rehearse on") as refused:
        call_command("rollout", "rehearse", stdout=io.StringIO(), stderr=io.StringIO())
    assert refused.value.returncode == base.EXIT_REFUSED


def test_words_for_people(evidence: None) -> None:
    out = io.StringIO()
    call_command("rollout", "rehearse", "--runs", "2", "--kind", "ignores_closures", stdout=out, stderr=io.StringIO())
    said = out.getvalue()
    assert "ignores_closures" in said
    assert "seats guests at closed tables (staged in " in said
    assert "V3 as it is: gates failed in 0 of 2 runs" in said
    assert "Gates that a rehearsal cannot try: soak, " in said
