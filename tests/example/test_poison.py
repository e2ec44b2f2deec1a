"""Real processes that a booking or a message ends: everything else is done by the same start of the command."""

from pathlib import Path
from typing import Any

import pytest

from assignments.maintenance import promise_check
from assignments.models import Assignment, BatchMark, OutboxMessage
from example import models
from tests.example import processes
from tests.example.conftest import keep_few


@pytest.mark.parametrize(
    ("before", "deliveries"),
    [(0, 2), (2, 1)],
    ids=["exit and signal", "SystemExit, which a delivery survives, and exit"],
)
def test_one_poisonous_booking_costs_only_itself(
    restaurant: models.Restaurant, before: int, deliveries: int, tmp_path: Path
) -> None:
    keep_few(restaurant, 10)
    poison = restaurant.bookings.order_by("pk")[3]
    restaurant.bookings.filter(reference="B003").update(reference="B003-old")
    models.Booking.objects.filter(pk=poison.pk).update(reference="B003")
    deaf = restaurant.bookings.order_by("pk")[5]
    restaurant.bookings.filter(reference="B004").update(reference="B004-old")
    models.Booking.objects.filter(pk=deaf.pk).update(reference="B004")
    ends = tmp_path / "ends"
    variables = {"TEST_HOST": "tests.example.hosts.DeadlyHost", "DEADLY": str(ends)}
    ends.write_text("." * before)
    code, out, err = processes.run("run_coordinator", **variables)
    assert len(ends.read_text()) == before + 2, (out, err)
    assert code in {0, 1}, (out, err)
    states: dict[str, Any] = dict(Assignment.objects.values_list("booking_ref", "state"))
    assert len(states) == 10
    assert states.pop(str(poison.pk)) == "manual_review", (out, err)
    assert Assignment.objects.get(booking_ref=str(poison.pk)).reason == "poisonous"
    assert "The worker died; another one goes on." in err
    assert sum(state == "confirmed" for state in states.values()) >= 5
    assert not BatchMark.objects.exists()
    ends.write_text("." * before)
    code, out, err = processes.run("deliver_outbox", **variables)
    assert len(ends.read_text()) == before + deliveries, (out, err)
    waiting = set(OutboxMessage.objects.filter(delivered_at=None).values_list("booking_ref", flat=True))
    assert waiting == {str(deaf.pk)}, (out, err)
    found = {(each.promise, each.booking_ref) for each in promise_check.violations(days=7)}
    assert found <= {("the host is told of everything", str(deaf.pk))}
