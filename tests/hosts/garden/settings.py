from tests.hosts.project import *

INSTALLED_APPS += [
    "waffle",
    "assignments",
    "legacy_planner",
    "rollout",
]
ASSIGNMENTS = {"HOST": "tests.hosts.garden.host.GardenHost"}
ROLLOUT = {"ENVIRONMENT": "dev"}
