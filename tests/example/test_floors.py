"""Floors of several restaurants at once."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assignments.integration import floor_cache
from assignments.integration.project_host import configured
from example import models
from example.host import ExampleHost
from tests.example.conftest import load

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refs() -> list[str]:
    return [str(load("v3", name=name).pk) for name in ("One", "Two", "Three")]


def test_those_that_are_known_cost_one_query_together(refs: list[str]) -> None:
    floor_cache.floors_or_none(refs)
    with CaptureQueriesContext(connection) as captured:
        found = floor_cache.floors_or_none([*refs, "999999"])
    assert [ref for ref, floor in found.items() if floor] == refs
    assert len([query for query in captured if "string_agg" in query["sql"]]) <= 2  # One, and the unknown one's again.


def test_one_that_was_edited_is_read_again(refs: list[str]) -> None:
    before = floor_cache.floors_or_none(refs)
    models.Table.objects.filter(restaurant=int(refs[1])).update(seats=9)
    after = floor_cache.floors_or_none(refs)
    assert [before[ref] == after[ref] for ref in refs] == [True, False, True]


def test_a_host_with_fingerprints_of_its_own_is_asked_for_those(refs: list[str]) -> None:
    class Versioned(ExampleHost):
        def floor_fingerprint(self, restaurant_ref: str) -> str:
            return f"version {restaurant_ref}"

    assert Versioned().floor_fingerprints(refs) == {ref: f"version {ref}" for ref in refs}


def test_a_host_that_raises_for_all_is_asked_for_each(refs: list[str], monkeypatch: Any) -> None:
    def broken(restaurant_refs: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(configured(), "floor_fingerprints", broken, raising=False)
    assert all(floor_cache.floors_or_none(refs).values())
