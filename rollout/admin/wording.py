"""What rules and refusals say, in the user's language."""

from enum import StrEnum
from typing import Any

from django.utils.translation import gettext

from rollout.phrase import Phrase


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
