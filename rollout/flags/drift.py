"""Whether the flags match the stage."""

from assignments.planning.text import Text, together
from assignments.planning.text import gettext as _
from rollout.conf import KILL_VARIABLE
from rollout.flags.resolution import Flags, as_text
from rollout.policy.ladder import Stage


def drift(stage: Stage, percent: int, flags: Flags) -> Text:
    """Say how flags and stored percentage differ from the stage; empty if they do not."""
    found = []
    if flags.killed:
        value = repr(flags.v3.raw)
        found.append(_("%(variable)s is set (%(value)s) and overrules the stage", variable=KILL_VARIABLE, value=value))
    else:
        found += [
            _(
                "%(switch)s is %(value)s (by %(source)s) and should be %(wanted)s",
                switch=flag.switch,
                value=as_text(flag.value),
                source=flag.source,
                wanted=as_text(wanted),
            )
            for flag, wanted in ((flags.v3, stage.v3), (flags.shadow, stage.shadow))
            if flag.value != wanted
        ]
    if percent != stage.percent:
        found.append(
            _(
                "V3 decides for %(percent)s %% of restaurants, but the settings say %(wanted)s %%",
                percent=percent,
                wanted=stage.percent,
            )
        )
    return together(found, "; ")
