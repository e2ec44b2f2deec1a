"""The tests' settings as those of another environment, for documents that are about several.

The database stays the test's, and so the check that forbids a local one there has to be silent. Events are stored.
"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import ASSIGNMENTS, ROLLOUT

ASSIGNMENTS = {name: value for name, value in ASSIGNMENTS.items() if name not in {"EVENT_SINKS", "MOVABLE_CLOCK"}}
ASSIGNMENTS["RELEASE"] = "tests"  # Rows that are built once are of the same release in each process.
ROLLOUT = {**ROLLOUT, "ENVIRONMENT": os.environ.get("DOCUMENT_ENVIRONMENT", "dev")}
SILENCED_SYSTEM_CHECKS = ["rollout.E006"]
