"""What V3 was given is kept for the audit where the router asks for it, and attempts refer to it."""

from datetime import datetime

import pytest
from django.db import transaction

from assignments import conf
from assignments.concurrency.transactions import database_now
from assignments.integration.planners import V3, Preview, kept_batch
from assignments.lifecycle.settlement import Settlement
from assignments.testing import a_floor
from tests.assignments.conftest import Keeping, TheHost, run_all

pytestmark = pytest.mark.django_db(transaction=True)


def a_preview() -> Preview:
    return Preview(floor=a_floor(), occupied=(), requests=(), now=database_now(), rules=conf.settings().rules())


def test_what_is_decided_together_is_kept_once(host: TheHost, tonight: datetime, keeping: Keeping) -> None:
    for ref in ("B1", "B2"):
        host.book(ref, starts_at=tonight)
    run_all()
    (batch,) = keeping.kept
    assert set(batch.decisions) == {"B1", "B2"}
    assert (batch.attempts, batch.refusals) == (2, 0)


def test_what_no_attempt_refers_to_is_not_kept(host: TheHost, keeping: Keeping) -> None:
    preview = a_preview()
    batch = kept_batch(preview, {}, service_date=preview.now.date())
    assert batch is not None
    settlement = Settlement(host=host, planner=V3, actor=V3, trigger="cron", now=preview.now)
    settlement.keep(batch)
    with transaction.atomic():
        settlement.write()
    assert keeping.kept == []


def test_a_router_that_keeps_none_is_given_none(host: TheHost) -> None:
    preview = a_preview()
    assert kept_batch(preview, {}, service_date=preview.now.date()) is None
