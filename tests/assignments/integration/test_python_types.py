"""Whatever is written as an attribute of a ``ModelHost``, its check answers with an id, and never raises."""

from datetime import time
from typing import Any, get_type_hints

import pytest
from django.core import checks

from assignments.integration.model_host.attributes import Attributes
from tests.assignments.integration.test_host_check import MuddleHost, found
from tests.shapes.models import Muddle

HINTS = get_type_hints(Attributes)
VALUES: list[Any] = [
    None, True, 0, 5, 2.5, "", "text", "a__b", "__", b"bytes", (), ("a",), [], ["SEATED"], [["a"]], (None,), {},
    {"P": "seated"}, {"P": ["seated"]}, {"P"}, {1: 2}, int, object(), Muddle, Muddle.objects, Muddle._meta.pk, time(18),
    len, lambda self: "moment",
]  # fmt: skip
"""Right ones for some attributes, wrong ones for others."""


@pytest.mark.parametrize("name", sorted(HINTS))
def test_no_value_of_an_attribute_makes_the_check_raise(name: str) -> None:
    for value in VALUES:
        host = type("OddHost", (MuddleHost,), {"tables_field": "board", name: value})()
        assert all(isinstance(each, checks.CheckMessage) for each in host.check()), (name, value)


def test_another_type_than_declared_is_one_error_that_says_what_to_write() -> None:
    wrong = {
        str: (None, 5, ("a",), Muddle),
        str | None: (5, ("a",), ["a"], int, b"a", {"a": "b"}),
        bool: (None, "no", 0, ()),
        int: (None, "1", True, 1.5),
        Any: (["C"], {}, int, len),
    }
    for name, declared in HINTS.items():
        for value in wrong.get(declared, (5, int, [["a"]], {"a": ["b"]})):
            ids = [each[0] for each in found(MuddleHost, **{name: value})]
            assert ids == ["E041"], (name, value)


@pytest.mark.parametrize(
    ("attributes", "what", "do"),
    [
        ({"stage_statuses": ["SEATED"]}, "stage_statuses is ['SEATED'], a list.", 'to stages: {"...": "seated"}'),
        ({"booking_model": Muddle}, "booking_model is the class Muddle.", 'Write booking_model = "shapes.Muddle".'),
        ({"read_fields": "moment"}, "read_fields is 'moment', a str.", 'texts in a tuple: ("...",)'),
        ({"told_statuses": "told"}, "told_statuses is 'told', a str.", 'statuses in a tuple: ("...",)'),
        ({"tables_mean_seated": "no"}, "tables_mean_seated is 'no', a str.", "True or False"),
    ],
)
def test_it_says_the_value_and_what_to_write(attributes: dict[str, Any], what: str, do: str) -> None:
    (told,) = found(MuddleHost, **attributes)
    assert told[:2] == ("E041", what)
    assert do in told[2]
