"""The "now" of database and process, by which this app and the rollout decide everything.

``assignments.concurrency.clock`` moves it.
"""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import BigIntegerField, DateTimeField, Func, Model


class _Moved(threading.local):
    """The offset of this thread's clock."""

    by = timedelta(0)


moved = _Moved()


def process_now() -> datetime:
    """Return the time by this process's clock, aware, in UTC."""
    return datetime.now(UTC) + moved.by


class DatabaseNow(Func):
    """The time of the current statement by the database clock, which tests and the demo can move.

    The SQL function ``assignments_now()``. Use it instead of ``Now()``, which cannot be moved.
    """

    function = "assignments_now"
    template = "%(function)s()"
    allowed_default = True
    output_field = DateTimeField()


class TransactionId(Func):
    """PostgreSQL's number of the current transaction: equal for what is stored together."""

    function = "txid_current"
    template = "%(function)s()"
    allowed_default = True
    output_field = BigIntegerField()


class UpdatedAtField(DateTimeField):  # type: ignore[type-arg]
    """When the row was last saved. To migrations it is a DateTimeField with ``auto_now``."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"auto_now": True, **kwargs})

    def deconstruct(self) -> Any:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs

    def pre_save(self, model_instance: Model, add: bool) -> datetime:
        moment = process_now()
        setattr(model_instance, self.attname, moment)
        return moment
