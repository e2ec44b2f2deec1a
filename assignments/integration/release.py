"""The release of V3 that this process runs. It is stored with decisions.

Two processes of one release decide alike. By default a release is a fingerprint of this package's files (without pages,
translations and metrics), of the settings that steer decisions, and of the versions of Python and of the time zones.
``ASSIGNMENTS["RELEASE"]`` names it instead.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import zoneinfo
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path

from django.core.signals import setting_changed

from assignments import conf

PACKAGE = Path(__file__).resolve().parent.parent
LEFT_OUT = ("admin", "static", "templates", "locale", "telemetry/metrics")
"""Folders of the package that cannot alter a decision."""
LENGTH = 16
"""Hexadecimal digits of a fingerprint."""


@cache
def running() -> str:
    """Return this process's release. Raises ImproperlyConfigured for wrong settings."""
    settings = conf.settings()
    return settings.RELEASE or fingerprint(of_code(), steering(settings), platform.python_version(), of_time_zones())


def fingerprint(code: str, steering: Mapping[str, object], python: str, time_zones: str) -> str:
    """Return the name of the release with these components."""
    parts = json.dumps([code, steering, python, time_zones], sort_keys=True, default=str)
    return hashlib.sha256(parts.encode()).hexdigest()[:LENGTH]


@cache
def of_code(package: Path = PACKAGE) -> str:
    """Return a digest of the package's files. It is read once, at the start, because a later deploy may overwrite them."""
    digest = hashlib.sha256()
    for path in sorted(_files(package)):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _files(package: Path) -> Iterator[Path]:
    """Yield the files that can alter a decision."""
    left_out = {package / folder for folder in LEFT_OUT}
    for at, folders, names in os.walk(package):
        folder = Path(at)
        folders[:] = [name for name in folders if name != "__pycache__" and folder / name not in left_out]
        yield from (path for name in names if (path := folder / name).is_file())


def steering(settings: conf.Settings) -> dict[str, object]:
    """Return the settings that steer decisions, by name."""
    found = {each.name: getattr(settings, each.name) for each in fields(settings) if each.metadata["steers"]}
    return {**found, "WEIGHTS": dict(settings.rules().weights), "REARRANGE": _in_order(settings.REARRANGE)}


def _in_order(value: object) -> object:
    """Return a set as a sorted list, because each process iterates over a set of texts in an order of its own."""
    return sorted(value) if isinstance(value, set | frozenset) else value


@cache
def of_time_zones() -> str:
    """Return the version of the time zones that ``zoneinfo`` reads: the system's, or else those of the package tzdata."""
    for folder in map(Path, zoneinfo.TZPATH):
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with (folder / name).open(encoding="utf-8", errors="replace") as file:
                    return file.readline().strip()
            except OSError:
                continue
    try:
        return importlib.metadata.version("tzdata")
    except importlib.metadata.PackageNotFoundError:
        return ""


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == conf.NAME:
        running.cache_clear()


setting_changed.connect(_forget, dispatch_uid="assignments.release")
