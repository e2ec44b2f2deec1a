"""``manage.py rollout report``."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import CommandError

from rollout.cli import base
from rollout.reporting import builder
from rollout.reporting.render import FORMATS
from rollout.reporting.values import Report

STDOUT = "-"


class Action(base.Action):
    help = (
        "Write the evidence for a promotion review: flags, gates, both planners compared, the slowest and most different "
        "decisions, the guard, all changes, and what a promotion would do. Contains references only, no guest data. Changes "
        "nothing."
    )

    @staticmethod
    def add_arguments(parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=list(FORMATS), help="Default: md. --json means --format json.")
        parser.add_argument(
            "--output",
            metavar="FILE",
            help=f"Where to write it ({STDOUT}: standard output). Default: standard output; for html, "
            "rollout-report-ENVIRONMENT-STAGE.html in the current folder. An existing file is replaced.",
        )
        parser.add_argument(
            "--site",
            type=_site,
            metavar="URL",
            help="The booking project's address, as in https://booking.example: decisions link into its admin then.",
        )

    def run(self, options: dict[str, Any]) -> None:
        if options["json"] and options["format"] not in {None, "json"}:
            problem = f"--json and --format {options['format']} exclude each other."
            raise CommandError(problem, returncode=base.EXIT_USAGE)
        form = "json" if options["json"] else options["format"] or "md"
        report = builder.build()
        text = FORMATS[form](report, site=options["site"] or "")
        output = options["output"] or (_file_name(report) if form == "html" else STDOUT)
        if output == STDOUT:
            self.stdout.write(text, ending="")
            return
        path = Path(output)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.", returncode=base.EXIT_USAGE) from error
        self.stdout.write(f"Wrote {path} ({len(text.encode()) // 1024 + 1} KiB).")


def _file_name(report: Report) -> str:
    """Make a stage's name safe for file names."""
    stage = "".join(character if character.isalnum() or character in "-_" else "_" for character in report.stage)
    return f"rollout-report-{report.environment}-{stage}.html"


def _site(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"http", "https"} and parts.hostname and not parts.query and not parts.fragment
    except ValueError:
        is_address = False
    if not is_address:
        raise ArgumentTypeError(f"must be an address like https://booking.example, not {text!r}")
    return text
