"""Floors come from records while the host's fingerprint is the same, and from the host otherwise."""

from datetime import timedelta
from typing import Any

import pytest

from assignments.concurrency import clock
from assignments.integration import floor_cache, release
from assignments.planning.floor import Floor
from example.host import ExampleHost
from example.models import Restaurant, Table
from rollout.evidence import known_floors
from rollout.models import FloorRecord
from tests.example.conftest import load

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def restaurant() -> Restaurant:
    return load()


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The restaurants whose floors the host was asked for."""
    found: list[str] = []
    floor = ExampleHost.floor

    def counted(self: ExampleHost, restaurant_ref: str) -> Floor:
        found.append(restaurant_ref)
        return floor(self, restaurant_ref)

    monkeypatch.setattr(ExampleHost, "floor", counted)
    return found


def looked(ref: str) -> Floor | None:
    """What a new process sees."""
    floor_cache.forget()
    with known_floors.one_look():
        return known_floors.current([ref]).get(ref)


def test_a_floor_on_record_is_read_from_the_host_again_only_once_it_may_be_another(
    restaurant: Restaurant, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = str(restaurant.pk)
    first = looked(ref)
    assert first is not None
    assert looked(ref) == first
    assert asked == [ref]

    Table.objects.filter(restaurant=restaurant).update(seats=9)
    edited = looked(ref)
    assert edited is not None
    assert edited.version != first.version
    assert looked(ref) == edited
    assert asked == [ref] * 2
    assert set(FloorRecord.objects.values_list("version", flat=True)) == {first.version, edited.version}

    with clock.shifted(timedelta(days=1)):
        assert looked(ref) == edited
    assert asked == [ref] * 3, "the host's code may have changed, of which no fingerprint knows"
    monkeypatch.setattr(release, "running", lambda: "another")
    assert looked(ref) == edited
    assert asked == [ref] * 4


def test_what_cannot_be_read_any_more_is_read_from_the_host(restaurant: Restaurant, asked: list[str]) -> None:
    ref = str(restaurant.pk)
    first = looked(ref)
    FloorRecord.objects.update(content={})
    assert looked(ref) == first
    assert asked == [ref] * 2


def test_a_floor_that_is_edited_while_it_is_read_is_not_on_record_by_its_fingerprint(
    restaurant: Restaurant, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor = ExampleHost.floor

    def edited_meanwhile(self: ExampleHost, restaurant_ref: str) -> Any:
        Table.objects.filter(restaurant=restaurant, seats__lt=9).update(seats=9)
        return floor(self, restaurant_ref)

    monkeypatch.setattr(ExampleHost, "floor", edited_meanwhile)
    assert looked(str(restaurant.pk)) is not None
    assert not FloorRecord.objects.exists()
