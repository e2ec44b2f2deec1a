"""Names of the legacy planner, and patterns of references to it."""

import re
from dataclasses import dataclass
from functools import cached_property

from rollout import conf

PACKAGE = "legacy_planner"  # rollout-removal: ignore
SEAM = "rollout.legacy"  # rollout-removal: ignore
EVENTS = "auto_assign"  # rollout-removal: ignore
RUNBOOK = "legacy-planner-removal"  # rollout-removal: ignore

SETTING = "LEGACY_PLANNER"


@dataclass(frozen=True, kw_only=True)
class Names:
    """The legacy planner's package, the dotted path in the settings, and the source of its events.

    ``package`` is also the name of the pytest marker, and of the folder of tests, that go with it.
    """

    package: str = PACKAGE
    path: str = ""
    events: str = EVENTS

    @property
    def seam(self) -> str:
        """The path by which the rollout reaches it: our module, or the project's own class from the settings."""
        return SEAM if not self.path or self.path.startswith(f"{SEAM}.") else self.path

    def refers(self, text: str) -> bool:
        """Return whether the whole text is a dotted reference to it."""
        return any(text == name or text.startswith(f"{name}.") for name in (self.package, self.seam))

    def may_be_in(self, text: str) -> bool:
        """Return whether a Python file may refer to it: a quick test, which may say yes by mistake but never no.

        An import may have the parts of the path in two places; only its last part is looked for.
        """
        parts = (self.package, self.events, RUNBOOK, "legacy", self.seam.rpartition(".")[2])
        return any(part in text for part in parts)

    def is_event(self, text: str) -> bool:
        """Return whether the whole text names its events' source or one of their types."""
        return text == self.events or text.startswith(f"{self.events}.")

    @cached_property
    def mention(self) -> re.Pattern[str]:
        """Return the pattern of any of its names, anywhere in a line."""
        seam = re.escape(self.seam).replace(r"\.", "[./]")
        return re.compile(rf"\b(?:{re.escape(self.package)}|{seam}|{re.escape(self.events)}|{RUNBOOK})(?![\w-])")

    @cached_property
    def decided(self) -> re.Pattern[str]:
        """Return the pattern of a comparison with the key under which its decisions are stored."""
        return re.compile(r"""\bplanner\b[^\n]{0,12}["']legacy["']""")

    @cached_property
    def quoted(self) -> re.Pattern[str]:
        """Return the pattern of a quoted text that begins with it: an array element with its comma."""
        seam = re.escape(self.seam).replace(r"\.", "[./]")
        name = rf"(?:tests[./])?(?:{re.escape(self.package)}|{seam})"
        return re.compile(rf"""(["']){name}(?:[^\w"'][^"']*)?\1\s*,?\s*""")


def current() -> Names:
    """Return the names in this project."""
    return Names(path=conf.settings().LEGACY_PLANNER)
