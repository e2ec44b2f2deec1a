"""What the options of commands may be, for argparse: anything else is bad usage, exit code 2."""

import math
from argparse import ArgumentTypeError

LARGEST_COUNT = 2**31 - 1
LARGEST_PORT = 2**16 - 1
A_DAY = 24 * 60 * 60.0


def count(text: str) -> int:
    """A whole number above 0."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= LARGEST_COUNT):
        raise ArgumentTypeError(f"must be a whole number from 1 to {LARGEST_COUNT}, not {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """More than 0 seconds, and at most a day."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= A_DAY:
        raise ArgumentTypeError(f"must be a number of seconds above 0 and at most {A_DAY:.0f}, not {text!r}")
    return value


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, an IPv6 address in brackets. Port 0 is any that is free."""
    host, _colon, port = text.rpartition(":")
    is_bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or is_bare_ipv6 or not (port.isascii() and port.isdecimal() and int(port) <= LARGEST_PORT):
        raise ArgumentTypeError(f"must be HOST:PORT, such as 127.0.0.1:9108 or [::1]:9108, not {text!r}")
    return host.strip("[]"), int(port)


def restaurant_ref(text: str) -> str:
    """A ref is the host's primary key as a text, and never empty: no restaurant is not all of them."""
    if not text.strip():
        raise ArgumentTypeError("names no restaurant; leave the option out for all of them")
    return text
