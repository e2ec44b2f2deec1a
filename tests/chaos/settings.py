"""Settings of the processes that suffer faults: the example's project, a host that can misbehave, quick time limits."""

from tests.settings import *  # noqa: F403
from tests.settings import ASSIGNMENTS

DEBUG = False
ASSIGNMENTS = {**ASSIGNMENTS, "HOST": "tests.chaos.host.ChaosHost", "CALLBACK_SECONDS": 0.5}
