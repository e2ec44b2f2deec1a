"""What the tests of foreign input share: how many examples they try, and values that nobody would think of."""

import os
from random import Random

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 0)
"""How many examples each test tries; 0: a few, and the same ones each time."""

TEXTS = (
    *(
        "",
        " ",
        "\0",
        "a\0b",
        "\n",
        "\r\n",
        "\ud800",
        "\ufeff",
        "\u202e",
        "é",
        "e\u0301",
        "٣",
        "²",
        "½",
        "💺",
        "'",
        '"',
        "\\",
    ),
    *(
        "%",
        "%s",
        "{}",
        "{0.__class__}",
        "<script>alert(1)</script>",
        "=1+1",
        "../../etc/passwd",
        "-",
        "--",
        "--help",
        "@x",
    ),
    *(
        "0",
        "1",
        "-1",
        "-0",
        "007",
        "1.5",
        "1e3",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "0x10",
        "1_000",
        " 7 ",
        "true",
        "on",
        "None",
    ),
    *(
        str(2**15),
        str(2**31 - 1),
        str(2**31),
        str(2**63),
        str(-(2**63) - 1),
        "9" * 400,
        "9" * 5000,
        "x" * 300,
        "x" * 100_000,
    ),
    *("2026-02-29", "2028-02-29", "0001-01-01", "9999-12-31", "10000-01-01", "2026-W07-3", "20260101", "2026-13-01"),
    *("0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00", "2026-03-29T01:30", "2026-10-25T01:30", "24:00", "23:59:60"),
    *(
        "[]",
        "{}",
        "[" * 10_000,
        '{"a":' * 3000,
        "null",
        "[null]",
        "[1]",
        '"x"',
        "x:1",
        ":0",
        "[::1]:80",
        "a:b:1",
        "h:65536",
    ),
)
"""Boundaries, other alphabets, numbers and dates that are none, and what other languages would run."""


def any_text(chance: Random) -> str:
    """One of them, or a few characters of any kind: where what can be drawn depends on rows, which Hypothesis may not."""
    if chance.random() < 0.7:
        return chance.choice(TEXTS)
    return "".join(
        chr(chance.choice((chance.randrange(128), chance.randrange(0xD800)))) for _ in range(chance.randrange(30))
    )


texts: st.SearchStrategy[str] = st.sampled_from(TEXTS) | st.text(max_size=40)


def few(examples: int) -> settings:
    """So many examples in the suite, and more of them, each time others, where FUZZ_EXAMPLES says so."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
