"""Settings of the processes that suffer faults: the example's project, a host that can misbehave, quick time limits."""

import os
from typing import Any

from tests.settings import *  # noqa: F403
from tests.settings import ASSIGNMENTS, DATABASES

DEBUG = False
ASSIGNMENTS = {**ASSIGNMENTS, "HOST": "tests.chaos.host.ChaosHost", "CALLBACK_SECONDS": 0.5}


def through_pooler(port: str) -> dict[str, Any]:
    """Return the database's settings behind a pooler that has this port."""
    return {"PORT": port, "DISABLE_SERVER_SIDE_CURSORS": True, "OPTIONS": {"prepare_threshold": None}}


if POOLER_PORT := os.environ.get("CHAOS_POOLER_PORT"):
    DATABASES["default"].update(through_pooler(POOLER_PORT))
