"""The tests' settings as those of another environment, for documents that are about several.

Only the rollout's own settings change: the database stays the test's, and so the check that forbids a local one there has
to be silent.
"""

import os

from tests.settings import *  # noqa: F403
from tests.settings import ROLLOUT

ROLLOUT = {**ROLLOUT, "ENVIRONMENT": os.environ["DOCUMENT_ENVIRONMENT"]}
SILENCED_SYSTEM_CHECKS = ["rollout.E006"]
