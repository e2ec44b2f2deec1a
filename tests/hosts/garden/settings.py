from tests.hosts.project import *

INSTALLED_APPS += ["assignments", "django.contrib.postgres"]
INSTALLED_APPS += ["waffle", "legacy_planner", "rollout"]
ASSIGNMENTS = {"HOST": "tests.hosts.garden.host.GardenHost"}
ROLLOUT = {"ENVIRONMENT": "dev"}
