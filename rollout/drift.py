"""Whether the flags are what the stage asks for. Pure."""

from rollout.conf import KILL_VARIABLE
from rollout.flags import Flags, as_text
from rollout.ladder import Stage


def drift(stage: Stage, percent: int, flags: Flags) -> str:
    """How flags and stored percentage differ from the stage, in a sentence; empty when they do not."""
    found = []
    if flags.killed:
        found.append(f"{KILL_VARIABLE} is set ({flags.v3.raw!r}) and overrules the stage")
    else:
        found += [
            f"{flag.switch} is {as_text(flag.value)} (by {flag.source}) and should be {as_text(wanted)}"
            for flag, wanted in ((flags.v3, stage.v3), (flags.shadow, stage.shadow))
            if flag.value != wanted
        ]
    if percent != stage.percent:
        found.append(f"{percent} % of restaurants are in, and the settings say {stage.percent} %")
    return "; ".join(found)
