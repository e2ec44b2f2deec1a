"""Telling the database when ``loaddata`` brings rows: they come with their history, so the triggers must write none."""

from typing import Any

from django.db import connections
from django.db.models import Model
from django.db.models.signals import pre_save

from assignments.models import Allocation, Assignment

VARIABLE = "assignments.loading"


def connect() -> None:
    """Listen for rows that are loaded."""
    for model in (Allocation, Assignment):
        pre_save.connect(_announce, sender=model, dispatch_uid=f"assignments.loading.{model.__name__}")


def _announce(sender: type[Model], *, raw: bool, using: str, **kwargs: Any) -> None:
    if not raw:
        return
    with connections[using].cursor() as cursor:
        # Ends with the transaction; outside of one it has no effect.
        cursor.execute("SELECT set_config(%s, 'on', true)", [VARIABLE])
