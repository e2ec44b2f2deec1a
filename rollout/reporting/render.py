"""Renders a report as JSON, Markdown (GitHub's, for its tables), or one self-contained HTML page.

The engine is the report's own, so that a project's ``TEMPLATES`` need not know it. A content security policy in the page
allows its own style sheet, by its hash, and nothing more.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.template import Context, Engine

from rollout.reporting import sanitize, sections
from rollout.reporting.values import Report

FOLDER = Path(__file__).parent.parent / "templates" / "rollout" / "report"
ENGINE = Engine(dirs=[str(FOLDER)])


def as_json(report: Report, *, site: str = "") -> str:
    """One object with everything in it, moments in ISO 8601. Addresses are left as paths, whatever the ``site``."""
    return json.dumps(report.as_dict(), cls=DjangoJSONEncoder, indent=2) + "\n"


def as_markdown(report: Report, *, site: str = "") -> str:
    """The whole document. ``site``: see ``sections.context``."""
    values = sanitize.plain(sections.context(report, site=site), sanitize.markdown)
    return re.sub(r"\n{3,}", "\n\n", _rendered("report.md", values, autoescape=False))


def as_html(report: Report, *, site: str = "") -> str:
    """The whole page. ``site``: see ``sections.context``."""
    style = (FOLDER / "report.css").read_text(encoding="utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()
    values = sanitize.plain(sections.context(report, site=site), sanitize.visible)
    return _rendered("report.html", {**values, "style": style, "style_hash": f"sha256-{digest}"}, autoescape=True)


def _rendered(template: str, values: Mapping[str, Any], *, autoescape: bool) -> str:
    return ENGINE.get_template(template).render(Context(values, autoescape=autoescape, use_l10n=False))


FORMATS: Mapping[str, Callable[..., str]] = {"md": as_markdown, "json": as_json, "html": as_html}
