"""Types of command options for argparse, and the user of a command. Invalid values are bad usage, exit code 2."""

import getpass
import math
import os
from argparse import ArgumentTypeError

LARGEST_COUNT = 2**31 - 1
LARGEST_PORT = 2**16 - 1
LONGEST_ACTOR = 200
RESTAURANT = "Its key in the booking project, its reference there, or its name if only one is called that."
A_DAY = 24 * 60 * 60.0


def count(text: str) -> int:
    """Parse a whole number above 0."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= LARGEST_COUNT):
        raise ArgumentTypeError(f"must be a whole number from 1 to {LARGEST_COUNT}, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Parse a number of seconds, above 0 and at most a day."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= A_DAY:
        raise ArgumentTypeError(f"must be a number of seconds above 0 and at most {A_DAY:.0f}, not {text!r}")
    return value


def address(text: str) -> tuple[str, int]:
    """Parse ``HOST:PORT``, with an IPv6 address in brackets. Port 0 selects a free port."""
    host, _colon, port = text.rpartition(":")
    is_bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or is_bare_ipv6 or not (port.isascii() and port.isdecimal() and int(port) <= LARGEST_PORT):
        raise ArgumentTypeError(f"must be HOST:PORT, such as 127.0.0.1:9108 or [::1]:9108, not {text!r}")
    return host.strip("[]"), int(port)


def restaurant_ref(text: str) -> str:
    """Parse a restaurant's ref, the host's primary key as text. It must not be empty, which could be taken for all."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty; leave the option out for all restaurants")
    return text


def actor(text: str) -> str:
    """Parse an actor, such as ``staff:7``."""
    who = text.strip()
    if not who or len(who) > LONGEST_ACTOR or not who.isprintable():
        raise ArgumentTypeError(f"must be a name of at most {LONGEST_ACTOR} characters, not {text!r}")
    return who


def login() -> str:
    """Return who runs this command, for history and the audit log: ``command:<login>``."""
    try:
        return f"command:{getpass.getuser()}"
    except (KeyError, OSError):  # A container may run as a user that has no name.
        return f"command:{os.getuid()}"
