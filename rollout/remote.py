"""Where the state-machine tables may live: in staging and production on the remote database only, over TLS."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from rollout import conf

TLS_MODES = frozenset({"require", "verify-ca", "verify-full"})
LOCAL_HOSTS = frozenset({"", "localhost", "localhost.localdomain", "host.docker.internal"})


def objection(database: Mapping[str, Any], environment: str) -> str:
    """Why the tables may not be on this database (an entry of DATABASES) there, in a sentence; empty when they may."""
    if environment not in conf.REMOTE_ENVIRONMENTS:
        return ""
    engine, host = str(database.get("ENGINE", "")), str(database.get("HOST") or "")
    if "postgresql" not in engine and "postgis" not in engine:
        return f"In {environment} the tables live on the remote PostgreSQL, not on {engine!r}."
    if _is_local(host):
        return f"In {environment} the tables live on the remote PostgreSQL, not on {host or 'a local socket'!r}."
    mode = str(database.get("OPTIONS", {}).get("sslmode", ""))
    if mode not in TLS_MODES:
        modes = ", ".join(sorted(TLS_MODES))
        return f"In {environment} the database is reached over TLS: sslmode must be one of {modes}, not {mode!r}."
    return ""


def _is_local(host: str) -> bool:
    if host.lower() in LOCAL_HOSTS or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
