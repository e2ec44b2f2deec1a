"""``manage.py rollout status``."""

from typing import Any

from assignments import conf as assignments_conf
from rollout import conf, flags
from rollout.actions import base


class Action(base.Action):
    help = "Every flag, its value and where that came from; the mode."

    def run(self, options: dict[str, Any]) -> None:
        current = flags.read()
        settings = conf.settings()
        problems = flags.wrong_variables()
        if current.contradict:
            problems.append(f"{current.v3.switch} and {current.shadow.switch} are both on; shadow wins.")
        if options["json"]:
            values = {
                flag.switch: {"value": flag.value, "source": flag.source, "raw": flag.raw, "variable": flag.variable}
                for flag in (current.v3, current.shadow)
            }
            self.print_json(
                {
                    "environment": settings.ENVIRONMENT,
                    "mode": current.mode,
                    "killed": current.killed,
                    "flags": values,
                    "max_parallel": assignments_conf.settings().MAX_PARALLEL,
                    "legacy": settings.LEGACY_PLANNER,
                    "problems": problems,
                }
            )
            return
        self.stdout.write(f"Environment     {settings.ENVIRONMENT}")
        self.stdout.write(f"Mode            {current.mode}{' (killed)' if current.killed else ''}")
        for flag in (current.v3, current.shadow):
            value = "on" if flag.value else "off"
            where = (
                f"{flag.source} {flag.variable}={flag.raw}" if flag.source is flags.Source.ENVIRONMENT else flag.source
            )
            self.stdout.write(f"  {flag.switch:30} {value:4} by {where}")
        self.stdout.write(f"Max parallel    {assignments_conf.settings().MAX_PARALLEL}")
        self.stdout.write(f"Legacy planner  {settings.LEGACY_PLANNER or 'not installed'}")
        for problem in problems:
            self.stdout.write(self.style.ERROR(f"Problem: {problem}"))
