"""``manage.py closures``: what an operator types, and what it says."""

import getpass
import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from assignments.models import Closure
from tests.assignments.conftest import TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)


def closures(*args: str) -> str:
    out = StringIO()
    call_command("closures", *args, stdout=out)
    return out.getvalue()


def test_a_closure_is_added_listed_edited_and_lifted(host: TheHost, tonight: datetime) -> None:
    assert closures("list") == "Nothing is closed.\n"
    day = f"{tonight:%Y-%m-%d}"
    said = closures("add", "R1", "--table", "T4", "--from", f"{day} 18:00", "--reason", "a leg is loose")
    closure = Closure.objects.get()
    assert said == f"{closure.pk}  restaurant R1, tables T4, from {day} 18:00 until further notice: a leg is loose\n"
    host.book("B1", starts_at=tonight)
    assert run_all()["B1"].table_refs == ("T1",)
    closures("edit", str(closure.pk), "--until", f"{day}T23:00+00:00", "--whole-restaurant")
    closure.refresh_from_db()
    assert (closure.table_refs, closure.ends_at) == ([], tonight.replace(hour=23))
    closures("edit", str(closure.pk), "--until", "never")
    (listed,) = closures("list", "--restaurant", "R1", "--json").splitlines()
    assert json.loads(listed)["ends_at"] is None
    assert closure.author == f"command:{getpass.getuser()}"
    assert "(lifted by staff:7)" in closures("lift", str(closure.pk), "--actor", "staff:7")
    assert closures("list") == "Nothing is closed.\n"
    assert "all tables" in closures("list", "--all")


@pytest.mark.parametrize(
    ("args", "code", "problem"),
    [
        (["add", "R1", "--from", "tomorrow"], 2, "'tomorrow' is no time"),
        (["add", "R1", "--from", "2030-01-14 19:00", "--table", "T9"], 2, "it has no table T9"),
        (["add", "R9", "--from", "2030-01-14 19:00"], 2, "There is no restaurant 'R9'."),
        (["lift", "1", "--actor", " "], 1, "must be a name of at most 200 characters"),
        (["edit", "1"], 2, "Say what is to change"),
        (["edit", "1", "--reason", "x"], 1, "no closure 1"),
        (["lift", "1"], 1, "no closure 1"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said(host: TheHost, args: list[str], code: int, problem: str) -> None:
    with pytest.raises(CommandError, match=problem) as refused:
        closures(*args)
    assert refused.value.returncode == code
    assert not Closure.objects.exists()


def test_a_closure_that_is_over_is_listed_only_with_all(host: TheHost) -> None:
    start = datetime.now(UTC) - timedelta(days=2)
    Closure.objects.create(restaurant_ref="R1", starts_at=start, ends_at=start + timedelta(hours=1))
    assert closures("list") == "Nothing is closed.\n"
    assert "all tables" in closures("list", "--all")
