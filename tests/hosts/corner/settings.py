from tests.hosts.project import *

INSTALLED_APPS += ["assignments", "django.contrib.postgres"]
INSTALLED_APPS += ["waffle", "legacy_planner", "rollout"]
ASSIGNMENTS = {"HOST": "tests.hosts.corner.host.CornerHost"}
ROLLOUT = {"ENVIRONMENT": "dev"}
