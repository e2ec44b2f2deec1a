"""What rules and refusals say, and what codes mean, in the user's language."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy

from rollout.flags.resolution import Mode
from rollout.policy.message import Phrase
from rollout.policy.verdict import Verdict

VERDICTS: Mapping[str, str | Promise] = {
    Verdict.SAME_TABLES: gettext_lazy("same tables"),
    Verdict.EQUIVALENT: gettext_lazy("other tables, equally good"),
    Verdict.BETTER: gettext_lazy("V3 is better"),
    Verdict.WORSE: gettext_lazy("V3 is worse"),
    Verdict.ONLY_V3_SEATS: gettext_lazy("only V3 seats"),
    Verdict.ONLY_LEGACY_SEATS: gettext_lazy("only the legacy planner seats"),
    Verdict.BOTH_REFUSE: gettext_lazy("both refuse"),
    Verdict.V3_ERROR: gettext_lazy("V3 failed"),
    Verdict.UNSAFE: gettext_lazy("V3 is unsafe"),
    "": gettext_lazy("waiting"),
}
MODES: Mapping[str, str | Promise] = {
    Mode.LEGACY: gettext_lazy("the legacy planner decides"),
    Mode.SHADOW: gettext_lazy("the legacy planner decides, V3 watches"),
    Mode.ACTIVE: gettext_lazy("V3 decides"),
}


def worded(text: Any) -> Any:
    """A phrase, or an exception that says one, in the language of now; and so what is inside of it. Else as it is."""
    if isinstance(text, Phrase):
        parameters = {name: worded(value) for name, value in text.parameters.items()}
        return gettext(text.template) % parameters if parameters else gettext(text.template)
    if isinstance(text, StrEnum):
        return gettext(text.value)
    if isinstance(text, Exception):
        return str(worded(text.args[0])) if len(text.args) == 1 else str(text)
    return text


def verdict(code: str) -> str:
    """How the planners compare; the code, where nobody here knows it."""
    return str(VERDICTS.get(code, code))


def mode(code: str) -> str:
    """Who decides, and who watches."""
    return str(MODES.get(code, code))
