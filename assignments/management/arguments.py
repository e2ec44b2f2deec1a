"""What the options of commands may be, for argparse: anything else is bad usage, exit code 2."""

import math
from argparse import ArgumentTypeError

LARGEST_COUNT = 2**31 - 1
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


def restaurant_ref(text: str) -> str:
    """A ref is the host's primary key as a text, and never empty: no restaurant is not all of them."""
    if not text.strip():
        raise ArgumentTypeError("names no restaurant; leave the option out for all of them")
    return text
