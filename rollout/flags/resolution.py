"""Resolves the flags: the value of each, and its source.

Precedence: ASSIGNMENT_PIPELINE_KILL (needs no database) > the switch's row > the environment variable > off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from waffle import get_waffle_switch_model

from assignments.planning.text import Text
from assignments.planning.text import gettext as _
from rollout import conf

V3_SWITCH = "assignment_pipeline_v3"
SHADOW_SWITCH = "assignment_pipeline_v3_shadow"
REARRANGEMENT_SWITCH = "assignment_rearrangement"
"""While it is on, V3 may move confirmed parties. Without it nobody is moved."""

TRUE_TEXTS = frozenset({"1", "true", "yes", "on"})
FALSE_TEXTS = frozenset({"0", "false", "no", "off", ""})


class Source(StrEnum):
    KILL = _("kill variable")
    SWITCH = _("switch")
    ENVIRONMENT = _("environment variable")
    DEFAULT = _("default")


class Mode(StrEnum):
    """The mode that results from both flags."""

    LEGACY = "legacy"
    SHADOW = "shadow"
    ACTIVE = "active"


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagValue:
    """One flag. ``raw`` is the text of its source."""

    switch: str
    variable: str
    value: bool
    source: Source
    raw: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flags:
    """Both current flags. ``killed``: the kill variable overrules them."""

    v3: FlagValue
    shadow: FlagValue
    killed: bool = False

    @property
    def mode(self) -> Mode:
        """Return the mode: (off, off) legacy, (off, on) shadow, (on, off) active; both on: shadow, the safe mode."""
        if self.killed:
            return Mode.LEGACY
        if self.shadow.value:
            return Mode.SHADOW
        return Mode.ACTIVE if self.v3.value else Mode.LEGACY

    @property
    def contradict(self) -> bool:
        return self.v3.value and self.shadow.value


def as_boolean(text: str) -> bool | None:
    """Return the boolean that a variable's text means; None for any other text."""
    cleaned = text.strip().lower()
    if cleaned in TRUE_TEXTS:
        return True
    return False if cleaned in FALSE_TEXTS else None


def as_text(value: bool) -> Text:
    return _("on") if value else _("off")


def wrong_variables() -> list[Text]:
    """Return a sentence for each environment variable that is neither true nor false."""
    return [
        _(
            "%(name)s must be one of true, false, 1, 0, yes, no, on, off, or empty, not %(text)s.",
            name=name,
            text=repr(text),
        )
        for name, text in sorted(conf.settings().ENVIRONMENT_VARIABLES.items())
        if as_boolean(text) is None
    ]


def is_killed() -> bool:
    """Return whether the kill variable is set. An invalid text counts as set, to be safe. No query."""
    text = conf.settings().ENVIRONMENT_VARIABLES.get(conf.KILL_VARIABLE, "")
    return as_boolean(text) is not False


def read() -> Flags:
    """Return the current flags. One query, which bypasses waffle's cache; none when killed."""
    return killed() if is_killed() else as_set()


def as_set() -> Flags:
    """Return the flags by switches and variables, ignoring the kill variable. One query."""
    rows = get_waffle_switch_model().objects.filter(name__in=[V3_SWITCH, SHADOW_SWITCH])
    return from_rows(dict(rows.values_list("name", "active")))


def killed() -> Flags:
    """Return the flags while the kill variable is set."""
    raw = conf.settings().ENVIRONMENT_VARIABLES.get(conf.KILL_VARIABLE, "")
    off = {"value": False, "source": Source.KILL, "raw": raw}
    return Flags(
        v3=FlagValue(switch=V3_SWITCH, variable=conf.V3_VARIABLE, **off),  # type: ignore[arg-type]
        shadow=FlagValue(switch=SHADOW_SWITCH, variable=conf.SHADOW_VARIABLE, **off),  # type: ignore[arg-type]
        killed=True,
    )


def from_rows(active: Mapping[str, bool]) -> Flags:
    """Return the flags from the switches' rows, by name; variables replace missing rows."""
    return Flags(
        v3=_value(V3_SWITCH, conf.V3_VARIABLE, active), shadow=_value(SHADOW_SWITCH, conf.SHADOW_VARIABLE, active)
    )


def _value(switch: str, variable: str, active: Mapping[str, bool]) -> FlagValue:
    if switch in active:
        return FlagValue(
            switch=switch, variable=variable, value=active[switch], source=Source.SWITCH, raw=str(active[switch])
        )
    text = conf.settings().ENVIRONMENT_VARIABLES.get(variable)
    if text is None:
        return FlagValue(switch=switch, variable=variable, value=False, source=Source.DEFAULT)
    # The checks report an invalid text; until it is fixed the flag is off.
    return FlagValue(
        switch=switch, variable=variable, value=as_boolean(text) is True, source=Source.ENVIRONMENT, raw=text
    )
