#!/usr/bin/env python
"""Runs the example booking project's management commands."""

import gc
import os
import sys


def main() -> None:
    gc.set_threshold(10_000)  # A start makes much that stays: to look for garbage in it would take a fifth of the time.
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
