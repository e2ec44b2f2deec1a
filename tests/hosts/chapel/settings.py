from tests.hosts.project import *

INSTALLED_APPS += [
    "waffle",
    "assignments",
    "legacy_planner",
    "rollout",
]
ASSIGNMENTS = {"HOST": "tests.hosts.chapel.host.ChapelHost"}
ROLLOUT = {"ENVIRONMENT": "dev"}
