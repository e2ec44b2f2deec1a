"""A project with Django's tasks framework, whose tasks are rows of its database."""

from tests.settings import *  # noqa: F403
from tests.settings import ASSIGNMENTS, INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_tasks_db"]
ASSIGNMENTS = {**ASSIGNMENTS, "TASKS": "assignments.tasks.enqueue_day"}
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
