"""The release before runs on today's tables, as it does while a deploy goes on; the way back loses no row."""

from pathlib import Path

import pytest
from django.db import connection

from tests.upgrade.trees import BASE, PROJECT, Database, database, unpack_base

APPS = ("assignments", "rollout", "example")
EVENING = ("load_evening", "example/data/demo_evening.json", "--date", "2030-01-17")

INLINE = """
from datetime import timedelta
from assignments import api
from example.booking import make_booking, save_booking
from example.models import Booking, Restaurant
first = Booking.objects.order_by("start").first()
made = make_booking(restaurant=first.restaurant, reference="{ref}", start=first.start + timedelta(hours=9), party=2)
print("inline:", api.assign_now(booking_ref=str(made.pk)).kind)
made.party = 3
print("edit:", save_booking(made))
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_base(tmp_path_factory.mktemp("base"))


def migrations(tree: Path, app: str) -> list[str]:
    return sorted(each.stem for each in (tree / app / "migrations").glob("[0-9]*.py"))


def decided(shared: Database) -> int:
    ((count,),) = shared.rows(
        "SELECT count(*) FROM assignments_assignment WHERE state IN ('confirmed', 'manual_review')"
    )
    return int(str(count))


@pytest.mark.upgrade
def test_todays_migrations_continue_those_of_the_release_before(base: Path) -> None:
    for app in APPS:
        before = migrations(base, app)
        assert migrations(PROJECT, app)[: len(before)] == before
        for name in before:
            path = Path(app) / "migrations" / f"{name}.py"
            assert (base / path).read_text() == (PROJECT / path).read_text(), f"{path} was released in {BASE}"


@pytest.mark.upgrade
@pytest.mark.timeout(300)
@pytest.mark.django_db
def test_the_release_before_decides_on_todays_tables_and_the_way_back_loses_no_row(base: Path) -> None:
    with database(f"{connection.settings_dict['NAME']}_upgrade") as shared:
        shared.run(base, "migrate", "--verbosity", "0")
        shared.run(base, *EVENING)
        shared.run(base, "run_coordinator", "--limit", "20")
        of_base, at_first = shared.tables(), decided(shared)
        assert at_first > 10

        shared.run(PROJECT, "migrate", "--verbosity", "0")
        shared.run(base, "run_coordinator", "--limit", "40")
        shared.run(base, "deliver_outbox")
        said = shared.run(base, "shell", "-c", INLINE.format(ref="OLD"))
        assert "inline: assigned" in said or "inline: confirmed" in said, said
        shared.run(base, "rollout", "begin", "--reason", "An upgrade.")
        for each in ("status", "plan", "compare", "history"):
            shared.run(base, "rollout", each)
        shared.run(base, "rollout", "pause", "--reason", "An upgrade.")
        shared.run(base, "reconcile_assignments")
        by_the_old_code = decided(shared)
        assert by_the_old_code > at_first

        shared.run(PROJECT, "run_coordinator")
        shared.run(PROJECT, "deliver_outbox")
        shared.run(PROJECT, "shell", "-c", INLINE.format(ref="NEW"))
        shared.run(PROJECT, "rollout", "resume", "--reason", "An upgrade.")
        assert shared.run(PROJECT, "reconcile_assignments", "--check", "--json").strip() == ""
        assert decided(shared) > by_the_old_code

        kept = [name for name in of_base if name != "django_migrations"]
        before = shared.counts(kept)
        for app in APPS:
            shared.run(PROJECT, "migrate", app, migrations(base, app)[-1], "--verbosity", "0")
        before |= {name: before[name] for name in ("django_content_type", "auth_permission")}
        assert _without_types(shared.counts(kept)) == _without_types(before)
        shared.run(base, "reconcile_assignments")
        shared.run(base, "run_coordinator")
        shared.run(PROJECT, "migrate", "--verbosity", "0")
        assert shared.counts(kept).items() >= {name: before[name] for name in ("assignments_allocation",)}.items()
        assert shared.run(PROJECT, "reconcile_assignments", "--check", "--json").strip() == ""


def _without_types(counts: dict[str, int]) -> dict[str, int]:
    """Without Django's own lists of models and permissions, and the runs of commands, of which each adds one."""
    passing = ("django_content_type", "auth_permission", "assignments_run")
    return {name: count for name, count in counts.items() if not name.startswith(passing)}


def test_a_clone_without_the_release_before_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = "0" * 40
    monkeypatch.setattr("tests.upgrade.trees.BASE", missing)
    with pytest.raises(pytest.fail.Exception, match=f"has no commit {missing}, which tests/upgrade/BASE names"):
        unpack_base(tmp_path)
