"""What became of a fault."""

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Result:
    """``count``: how often it was tried; ``recovered``: after how many all was well; ``worst_seconds``: until then.

    ``missed``: how often the flow never met the fault, so that nothing was shown.
    """

    fault: str
    count: int = 0
    recovered: int = 0
    missed: int = 0
    worst_seconds: float = 0.0
    violations: list[str] = field(default_factory=list)
    note: str = ""

    def add(self, seconds: float, violations: list[str], *, has_met: bool) -> None:
        self.count += 1
        self.missed += not has_met
        self.recovered += has_met and not violations
        self.worst_seconds = max(self.worst_seconds, round(seconds, 2))
        self.violations += violations

    def __str__(self) -> str:
        counts = f"{self.count:5} {self.recovered:9} {self.missed:6}"
        line = f"{self.fault:40} {counts} {self.worst_seconds:8.1f} {len(self.violations):10}"
        return "\n".join([f"{line}  {self.note}".rstrip(), *(f"    {each}" for each in self.violations[:20])])


HEAD = f"{'fault':40} {'count':>5} {'recovered':>9} {'missed':>6} {'worst s':>8} {'violations':>10}"
