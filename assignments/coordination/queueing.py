"""Telling a project's queue, once a change is committed, that a restaurant-day has something due."""

import logging

from django.db import transaction
from django.utils.module_loading import import_string

from assignments import conf
from assignments.concurrency.transactions import database_now
from assignments.error_logging import log_error
from assignments.models import Assignment

logger = logging.getLogger("assignments.queueing")


def on_commit(booking_ref: str) -> None:
    """Enqueue the booking's restaurant-day on commit, if there is a queue (``TASKS``) and the booking is due then."""
    if conf.settings().TASKS:
        transaction.on_commit(lambda: _enqueue(booking_ref))


def _enqueue(booking_ref: str) -> None:
    try:
        due = Assignment.objects.due(database_now()).filter(booking_ref=booking_ref)
        for restaurant_ref, service_date in due.values_list("restaurant_ref", "service_date"):
            enqueue = import_string(conf.settings().TASKS)
            enqueue(restaurant_ref=restaurant_ref, service_date=service_date.isoformat())
    except Exception as error:  # noqa: BLE001  The change is committed, and the next pass decides it.
        log_error(logger, error, "The task queue did not accept a task for booking %s", booking_ref)
