"""Tasks for a project's queue: one for each command that cron runs, and one that decides a restaurant-day now.

They need Django's tasks framework (``django.tasks`` since Django 6.0, before it the package ``django-tasks``), or Celery,
whose worker finds them under the same names by ``app.autodiscover_tasks()``. Nothing else imports this module, so a project
without a queue needs neither. A lost task costs only time, because the next pass of ``run_coordinator`` decides what is due.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import date
from importlib import import_module
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from assignments.coordination import dispatch

__all__ = [
    "decide_day",
    "deliver_outbox",
    "enqueue_day",
    "enqueue_day_in_celery",
    "prune_assignments",
    "reconcile_assignments",
    "run_coordinator",
    "task",
]

_django_task: Any = None
_celery: Any = None
with suppress(ImportError):
    _celery = import_module("celery")
try:
    from django.tasks import task as _django_task
except ImportError:
    with suppress(ImportError):
        from django_tasks import task as _django_task
if _django_task is None and _celery is None:
    raise ImproperlyConfigured(
        "assignments.tasks needs Django's tasks framework: Django 6.0 or later, or else the package django-tasks "
        "(pip install 'table-assignments[tasks]'). Or Celery (pip install 'table-assignments[celery]')."
    )

_in_celery: dict[str, Any] = {}


def task(function: Callable[..., Any]) -> Any:
    """Make a function a task of each installed framework. Returns Django's task, or Celery's if that is the only one."""
    name = f"{function.__module__}.{function.__name__}"
    if _celery is not None:
        _in_celery[name] = _celery.shared_task(name=name, ignore_result=True)(function)
    return _in_celery[name] if _django_task is None else _django_task(function)


@task
def decide_day(restaurant_ref: str, service_date: str) -> int:
    """Decide what is due on a service day (ISO 8601) of a restaurant. Returns the number of bookings tried.

    A day on which another worker is busy is left to it; what stays due is decided by the next pass.
    """
    limits = dispatch.PassLimits(restaurant_ref=restaurant_ref, service_date=date.fromisoformat(service_date))
    return sum(len(progress.outcomes) for progress in dispatch.run_pass(limits))


def enqueue_day(*, restaurant_ref: str, service_date: str) -> None:
    """Enqueue ``decide_day`` with the project's default task backend: a value for ``ASSIGNMENTS["TASKS"]``."""
    decide_day.enqueue(restaurant_ref, service_date)


def enqueue_day_in_celery(*, restaurant_ref: str, service_date: str) -> None:
    """Send ``decide_day`` to the project's Celery: another value for ``ASSIGNMENTS["TASKS"]``."""
    _in_celery[f"{__name__}.decide_day"].delay(restaurant_ref, service_date)


@task
def run_coordinator(*arguments: str) -> None:
    """Run ``manage.py run_coordinator`` with these arguments, for a single pass: ``--watch`` needs its own process."""
    call_command("run_coordinator", *arguments)


@task
def deliver_outbox(*arguments: str) -> None:
    """Run ``manage.py deliver_outbox`` with these arguments. Fails when the host refused a message."""
    call_command("deliver_outbox", *arguments)


@task
def reconcile_assignments(*arguments: str) -> None:
    """Run ``manage.py reconcile_assignments`` with these arguments."""
    call_command("reconcile_assignments", *arguments)


@task
def prune_assignments(*arguments: str) -> None:
    """Run ``manage.py prune_assignments`` with these arguments."""
    call_command("prune_assignments", *arguments)
