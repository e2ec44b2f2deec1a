"""One place that refers to the legacy planner: where it is, what to do, and what may go wrong."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """Kind of the place. ``RISKS`` says what may go wrong with each."""

    PACKAGE = "package"
    SEAM = "seam"
    IMPORT = "import"
    DEPENDENT = "dependent"
    SETTING = "setting"
    MIGRATION = "migration"
    SWITCH = "switch"
    EVENT = "event"
    METRIC = "metric"
    CRON = "cron"
    TABLE = "table"
    PACKAGING = "packaging"
    TEST = "test"
    DOCUMENT = "document"
    MENTION = "mention"


class Action(StrEnum):
    """What to do there. A program can do the first four; the next is for people; the last two need no action.

    ``goes_along``: it is in a file or folder that is deleted.
    """

    DELETE_FOLDER = "delete_folder"
    DELETE_FILE = "delete_file"
    DELETE_LINES = "delete_lines"
    REPLACE_LINES = "replace_lines"
    BY_HAND = "by_hand"
    GOES_ALONG = "goes_along"
    KEEP = "keep"


MECHANICAL = frozenset({Action.DELETE_FOLDER, Action.DELETE_FILE, Action.DELETE_LINES, Action.REPLACE_LINES})


class Risk(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


RISKS: dict[Kind, tuple[Risk, str]] = {
    Kind.PACKAGE: (
        Risk.MEDIUM,
        "There is no way back without a deploy: rollbacks are refused, and with the kill variable nobody decides.",
    ),
    Kind.SEAM: (Risk.LOW, "Nothing imports it; settings that still name it are refused by the check rollout.E003."),
    Kind.IMPORT: (Risk.HIGH, "The module cannot be imported any more, and neither can what imports it."),
    Kind.DEPENDENT: (Risk.HIGH, "It depends on the module through which it reaches the legacy planner."),
    Kind.SETTING: (
        Risk.HIGH,
        "With a missing app Django does not start; with a missing planner it decides nothing.",
    ),
    Kind.MIGRATION: (Risk.HIGH, "migrate refuses to run while a migration names a missing app."),
    Kind.SWITCH: (Risk.HIGH, "Without the legacy planner nobody decides while V3 is off, in shadow, or killed."),
    Kind.EVENT: (Risk.MEDIUM, "It is no longer written: its counters stop, and alerts on silence fire."),
    Kind.METRIC: (Risk.MEDIUM, "It ends: its charts go flat, and ratios divide by zero."),
    Kind.CRON: (
        Risk.MEDIUM,
        "There is nothing to compare with or to roll back to: on a breach the guard exits with 3 and leaves V3 on.",
    ),
    Kind.TABLE: (Risk.LOW, "History stays readable; nothing is dropped."),
    Kind.PACKAGING: (Risk.MEDIUM, "The build, or a tool's configuration, names a missing folder."),
    Kind.TEST: (Risk.LOW, "It tests removed code."),
    Kind.DOCUMENT: (Risk.LOW, "It misleads its readers."),
    Kind.MENTION: (Risk.LOW, "A comment or a text; check that nothing depends on it."),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """One place. ``line`` to ``end_line``, both included and counted from 1; 0 for the whole file.

    ``path`` is relative to the root, absolute outside of it, empty for what is in no file. ``replacement`` is what stands
    there afterwards, without the last line's end, for ``replace_lines``. ``what`` says to people what to do.
    """

    kind: Kind
    path: str
    action: Action
    line: int = 0
    end_line: int = 0
    text: str = ""
    replacement: str = ""
    what: str = ""

    @classmethod
    def of_line(cls, path: str, line: int, **values: Any) -> "Trace":
        """One line's."""
        return cls(path=path, line=line, end_line=line, **values)

    @property
    def risk(self) -> Risk:
        is_import = self.kind in {Kind.IMPORT, Kind.DEPENDENT}
        if (is_import and self.action is Action.GOES_ALONG) or (
            self.action is Action.KEEP and self.kind is not Kind.SWITCH
        ):
            return Risk.LOW
        return RISKS[self.kind][0]

    @property
    def place(self) -> str:
        """``path:line``."""
        return f"{self.path}:{self.line}" if self.line else self.path

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "risk": self.risk.value, "why": RISKS[self.kind][1]}
