"""A dump of the whole database, loaded into an empty one: the same rows, and no second history beside them."""

import io
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import Model

from assignments import api
from assignments.models import Allocation, FrozenEvening, SeatingChange
from assignments.planning.floor import Floor
from rollout.control import steering, switches
from rollout.flags import resolution
from rollout.models import Change, Comparison, FloorRecord
from tests.assignments.conftest import TheHost, host, run_all, tonight

__all__ = ["host", "tonight"]

pytestmark = pytest.mark.django_db(transaction=True)

OURS = [model for label in ("assignments", "rollout") for model in apps.get_app_config(label).get_models()]


def rows() -> dict[str, list[dict[str, Any]]]:
    """Every row of ours, with moments as a dump keeps them."""
    return {model._meta.label: [_kept(row) for row in model._default_manager.order_by("pk").values()] for model in OURS}


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    return {name: _in_milliseconds(value) for name, value in row.items()}


def _in_milliseconds(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    if hasattr(value, "lower") and hasattr(value, "upper_inc"):
        return str(type(value)), _in_milliseconds(value.lower), _in_milliseconds(value.upper)
    return value


def an_evening(host: TheHost, tonight: datetime) -> None:
    for ref in ("B1", "B2", "B3"):
        host.book(ref, starts_at=tonight)
    run_all()
    api.release_tables(booking_ref="B2", actor="staff")
    floor = host.floors["R1"]
    assert isinstance(floor, Floor)
    (free, *_) = {each.ref for each in floor.tables} - set(Allocation.objects.values_list("table_ref", flat=True))
    api.close(restaurant_ref="R1", table_refs=[free], starts_at=tonight, ends_at=None, reason="Wobbly.", actor="host")
    FrozenEvening.objects.create(restaurant_ref="R1", service_date=tonight.date(), actor="staff")
    steering.begin(actor="test", reason="test")
    steering.pause(actor="test", reason="test")
    switches.set_switch(resolution.V3_SWITCH, active=False, actor="test", reason="test")


def emptied() -> None:
    """As after ``migrate`` in a new database."""
    with connection.cursor() as cursor:
        names = ", ".join(model._meta.db_table for model in OURS)
        cursor.execute(f"TRUNCATE {names}, waffle_switch RESTART IDENTITY CASCADE")


def dumped(folder: Path) -> str:
    path = folder / "dump.json"
    call_command("dumpdata", "assignments", "rollout", "waffle", output=str(path), stdout=io.StringIO())
    return str(path)


def test_a_dump_is_the_same_rows_in_an_empty_database_and_loads_twice(
    host: TheHost, tonight: datetime, tmp_path: Path
) -> None:
    an_evening(host, tonight)
    before = rows()
    assert {"assignments.SeatingChange", "assignments.StateTransition", "rollout.Change"} <= {
        label for label, found in before.items() if found
    }
    path = dumped(tmp_path)
    emptied()
    for _ in range(2):
        call_command("loaddata", path, stdout=io.StringIO())
        assert rows() == before


def test_outside_of_a_loading_every_seating_has_its_history(host: TheHost, tonight: datetime, tmp_path: Path) -> None:
    an_evening(host, tonight)
    path = dumped(tmp_path)
    emptied()
    call_command("loaddata", path, stdout=io.StringIO())
    count = SeatingChange.objects.count()
    Allocation.objects.filter(booking_ref="B1").delete()
    assert SeatingChange.objects.count() > count


@pytest.mark.parametrize(
    ("model", "change"),
    [(Change, {"reason": "another"}), (Comparison, {"restaurant_ref": "another"})],
    ids=["change", "comparison"],
)
def test_the_rollouts_records_take_the_same_row_and_no_other(
    model: type[Model], change: dict[str, str], host: TheHost
) -> None:
    if model is Change:
        steering.begin(actor="test", reason="test")
    else:
        floor = FloorRecord.objects.create(version="1", restaurant_ref="R1", content={})
        values = {"snapshot": {}, "control": {}, "control_ms": 1.0, "verdict": "same_tables", "floor": floor}
        Comparison.objects.create(booking_ref="B1", restaurant_ref="R1", **values)
    row = model._default_manager.get()
    row.save()
    for name, value in change.items():
        setattr(row, name, value)
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()
