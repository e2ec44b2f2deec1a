"""Whether the flags are what the stage asks for. Pure."""

from rollout.flags import Flags, as_text
from rollout.ladder import Stage


def drift(stage: Stage, percent: int, flags: Flags) -> str:
    """How flags and stored percentage differ from the stage, in a sentence; empty when they do not."""
    found = []
    if flags.killed:
        found.append(f"the kill variable overrules the stage ({flags.v3.raw!r})")
    else:
        found += [
            f"{flag.switch} is {as_text(flag.value)} (by {flag.source}) and should be {as_text(wanted)}"
            for flag, wanted in ((flags.v3, stage.v3), (flags.shadow, stage.shadow))
            if flag.value != wanted
        ]
    if percent != stage.percent:
        found.append(f"{percent} % of restaurants are in, and the settings say {stage.percent} %")
    return "; ".join(found)
