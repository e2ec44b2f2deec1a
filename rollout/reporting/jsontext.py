"""A report as one JSON object, with everything in it. Pure."""

import json

from django.core.serializers.json import DjangoJSONEncoder

from rollout.reporting.values import Report


def render(report: Report, *, site: str = "") -> str:
    """Moments in ISO 8601. Addresses are left as paths, whatever the ``site``."""
    return json.dumps(report.as_dict(), cls=DjangoJSONEncoder, indent=2) + "\n"
