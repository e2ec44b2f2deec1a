"""Evening files with something wrong in them: taken, or refused with the place, by the parser and by what stores them."""

import csv
import io
import json
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from hypothesis import example, given
from hypothesis import strategies as st

from assignments.integration.evening_file import UnusableFileError, decode, parse, placed
from example import demo, evening, models
from tests.fuzz.fuzzing import few, texts

WHOLE: dict[str, Any] = json.loads(demo.REAL_EVENING.read_text())
WHOLE["bookings"] = WHOLE["bookings"][:6]
WHOLE["joins"] = [{"tables": ["D1-T01", "D1-T02"], "seats": 6}]
WHOLE["calendar"] = [{"first_date": "2030-12-24", "last_date": "2030-12-26", "weekdays": []}]
WHOLE["bookings"][0] |= {"end": "21:00", "requested_at": "2025-11-01T10:15:00+00:00", "status": "confirmed"}

numbers = (
    st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63) - 1, 10**400, 1.5, -0.0, 1e308]) | st.integers() | st.floats()
)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something is, in this value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, each in inner for place in places(each, (*at, key)))]


def mutated(draw: st.DataObject, whole: dict[str, Any]) -> dict[str, Any]:
    """The file with one to three changes at places that it has."""
    changed = deepcopy(whole)
    for _ in range(draw.draw(st.integers(1, 3))):
        *way, last = draw.draw(st.sampled_from([place for place in places(changed) if place]))
        inside: Any = changed
        for step in way:
            inside = inside[step]
        how = draw.draw(st.sampled_from(["replace", "remove", "double", "wrap", "another", "rename"]))
        if how == "remove":
            del inside[last]
        elif how == "double" and isinstance(inside, list):
            inside.append(deepcopy(inside[last]))
        elif how == "wrap":
            inside[last] = [inside[last]]
        elif how == "another":
            taken: Any = whole
            for step in draw.draw(st.sampled_from(places(whole))):
                taken = taken[step]
            inside[last] = deepcopy(taken)
        elif how == "rename" and isinstance(inside, dict):
            inside[draw.draw(texts)] = inside.pop(last)
        else:
            inside[last] = draw.draw(values)
        if not changed:
            break
    return changed


def use(text: str, on: date | None) -> None:
    """All that is asked of a file without storing it."""
    try:
        read = parse(text, on=on)
        floor = read.floor()
        for row in read.bookings:
            placed(row, floor, on)
        read.requests()
    except UnusableFileError as refused:
        assert str(refused)
    except ValueError as refused:
        assert "end " in str(refused), "of an end that is before its start, as placed() says"


@pytest.mark.timeout(120)
@few(150)
@given(st.data())
def test_a_file_with_changes_is_taken_or_refused(draw: st.DataObject) -> None:
    on = draw.draw(st.none() | st.dates())
    use(json.dumps(mutated(draw, WHOLE)), on)


@few(60)
@given(st.data())
def test_bytes_are_a_text_or_refused(draw: st.DataObject) -> None:
    raw = bytearray(json.dumps(WHOLE).encode(draw.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be"]))))
    for _ in range(draw.draw(st.integers(0, 4))):
        place = draw.draw(st.integers(0, len(raw)))
        raw[place : place + draw.draw(st.integers(0, 8))] = draw.draw(st.binary(max_size=8))
    try:
        text = decode(bytes(raw))
    except UnusableFileError:
        return
    use(text, None)


@pytest.mark.parametrize("bomb", ["[", '{"a":', '{"restaurant":', '{"bookings":[', '{"about":[', "[[],"])
@pytest.mark.parametrize("depth", [900, 20_000, 500_000])
def test_a_file_that_is_nested_too_deeply_is_refused(bomb: str, depth: int, tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError):
        parse(bomb * depth)


def load(path: Path, *arguments: str) -> None:
    try:
        call_command("load_evening", str(path), *arguments, stdout=io.StringIO(), stderr=io.StringIO())
    except CommandError as refused:
        assert refused.returncode in {1, 2}, refused


@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
def test_what_is_stored_is_what_the_database_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "evening.json"

    @few(25)
    @given(st.data())
    def played(draw: st.DataObject) -> None:
        path.write_text(json.dumps(mutated(draw, WHOLE)))
        load(path, *(["--date", draw.draw(st.dates()).isoformat()] if draw.draw(st.booleans()) else []))

    played()


GOOD_ROW = ("B1", "Demo Restaurant", "2030-06-01 19:00", "2", "", "pending")


@pytest.mark.timeout(120)
@pytest.mark.django_db(transaction=True)
def test_bookings_as_csv_are_loaded_or_refused(tmp_path: Path) -> None:
    call_command("load_evening", str(demo.REAL_EVENING), stdout=io.StringIO())
    assert models.Restaurant.objects.get()
    path = tmp_path / "bookings.csv"
    cells = st.sampled_from(GOOD_ROW) | texts
    rows = st.lists(
        st.tuples(*[st.sampled_from([good] * 3) | cells for good in GOOD_ROW]) | st.lists(cells), max_size=5
    )

    @few(40)
    @given(rows, st.sampled_from([",", ";", "\t", "|", "x"]), st.booleans(), texts)
    @example([GOOD_ROW], ",", False, "sep=\r\n")
    @example([("x" * 200_000, *GOOD_ROW[1:])], ",", False, "")
    def played(rows: list[Any], separator: str, quoted: bool, before: str) -> None:
        text = io.StringIO()
        writer = csv.writer(
            text, delimiter=separator, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL, escapechar="\\"
        )
        writer.writerow(evening.CSV_COLUMNS)
        writer.writerows(rows)
        path.write_bytes((before + text.getvalue()).encode("utf-8", "surrogatepass"))
        load(path)

    played()
