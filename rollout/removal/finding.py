"""One place that knows of the legacy planner: where, what to do about it, and what may go wrong."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What the place is. ``RISKS`` says what may go wrong with each."""

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
    """What to do there. A program can do the first four; the next is for people; the last two ask for nothing.

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
        "There is no way back without a deploy: a rollback is refused then, and a kill means that nobody decides.",
    ),
    Kind.SEAM: (Risk.LOW, "Nothing imports it; settings that still name it are refused by the check rollout.E003."),
    Kind.IMPORT: (Risk.HIGH, "The module cannot be imported any more, and neither can what imports it."),
    Kind.DEPENDENT: (Risk.HIGH, "It stands and falls with the module through which it reaches the legacy planner."),
    Kind.SETTING: (
        Risk.HIGH,
        "Django does not start with an app, or decides nothing with a planner, that is not there.",
    ),
    Kind.MIGRATION: (Risk.HIGH, "migrate refuses to run while a migration names an app that is not there."),
    Kind.SWITCH: (Risk.HIGH, "Without the legacy planner nobody decides while V3 is off, in shadow, or killed."),
    Kind.EVENT: (Risk.MEDIUM, "It is never written again: what counts it falls silent, alerts on silence go off."),
    Kind.METRIC: (Risk.MEDIUM, "It ends: a chart of it is flat, and a ratio with it divides by nothing."),
    Kind.CRON: (
        Risk.MEDIUM,
        "There is nothing left to compare with, or to roll back to: the guard exits with 3 and leaves V3 on.",
    ),
    Kind.TABLE: (Risk.LOW, "History stays readable; nothing is dropped."),
    Kind.PACKAGING: (Risk.MEDIUM, "The build, or a tool's configuration, names a folder that is not there."),
    Kind.TEST: (Risk.LOW, "It tests what is gone."),
    Kind.DOCUMENT: (Risk.LOW, "It misleads its readers."),
    Kind.MENTION: (Risk.LOW, "A comment or a text; check that nothing acts on it."),
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
