"""The Celery of a booking project: ``celery -A tests.queues.project worker``."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

app = Celery("booking", broker=os.environ.get("CELERY_BROKER", "memory://"))
app.autodiscover_tasks(["assignments", "rollout"])
