from tests.hosts.project import *

INSTALLED_APPS += ["assignments", "django.contrib.postgres"]
INSTALLED_APPS += ["waffle", "legacy_planner", "rollout"]
ASSIGNMENTS = {"HOST": "tests.hosts.atrium.host.AtriumHost"}
ROLLOUT = {"ENVIRONMENT": "dev"}
