"""The example's settings, for tests."""

import os

from example.settings import *  # noqa: F403
from example.settings import ASSIGNMENTS, DATABASES, INSTALLED_APPS, ROLLOUT
from tests import server
from tests.hosts.project import HOSTS

ASSIGNMENTS = {**ASSIGNMENTS, "EVENT_SINKS": ("assignments.telemetry.events.MemorySink",), "MOVABLE_CLOCK": True}
ROLLOUT = {**ROLLOUT, "LADDERS": {}}  # The default ones; the demo's test takes the example's.
INSTALLED_APPS = [*INSTALLED_APPS, "tests.shapes", *(f"tests.hosts.{name}" for name in HOSTS)]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"] == "example.embedded":
    DATABASES["default"]["SERVER_OPTIONS"] = server.options()
if os.environ.get("TEST_DATABASE_NAME"):
    DATABASES["default"]["TEST"] = {"NAME": os.environ["TEST_DATABASE_NAME"]}
if os.environ.get("TEST_HOST"):
    ASSIGNMENTS["HOST"] = os.environ["TEST_HOST"]
if os.environ.get("TEST_EVENTS") == "stored":
    ASSIGNMENTS["EVENT_SINKS"] = ("assignments.telemetry.events.DatabaseSink",)
if os.environ.get("TEST_METRICS") == "fresh":
    ASSIGNMENTS["METRICS_CACHE_SECONDS"] = 0
if os.environ.get("TEST_CANDIDATE"):
    ROLLOUT["CANDIDATE"] = os.environ["TEST_CANDIDATE"]
if os.environ.get("TEST_CACHE") == "down":
    CACHES = {"default": {"BACKEND": "tests.example.caches.BrokenCache"}}
