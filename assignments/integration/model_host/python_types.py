"""Finding attributes with a value of the wrong Python type, before anything reads them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, get_type_hints

from django.db import models

from assignments.integration.model_host.attributes import Attributes


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_text_or_none(value: Any) -> bool:
    return value is None or _is_text(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(_is_text(each) for each in value)


def _are_names(value: Any) -> bool:
    return _is_text_or_none(value) or _are_texts(value)


def _is_status(value: Any) -> bool:
    """Return whether a column could hold the value as a status."""
    try:
        hash(value)
    except TypeError:
        return False
    return not isinstance(value, type) and not callable(value)


def _are_statuses(value: Any) -> bool:
    """Return whether the value may be several statuses. A single text passes, because E025 reports it."""
    return _is_text(value) or (isinstance(value, list | tuple) and all(_is_status(each) for each in value))


def _are_any_statuses(value: Any) -> bool:
    return isinstance(value, list | tuple | AbstractSet) and all(_is_status(each) for each in value)


def _are_stages(value: Any) -> bool:
    return isinstance(value, Mapping) and all(_is_text(stage) for stage in value.values())


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_KINDS: dict[Any, tuple[Callable[[Any], bool], str]] = {
    str: (_is_text, 'a text: "..."'),
    str | None: (_is_text_or_none, 'a text, "...", or None'),
    str | Sequence[str] | None: (_are_names, 'a text, "...", several of them, ("...", "..."), or None'),
    Sequence[str]: (_are_texts, 'texts in a tuple: ("...",)'),
    Sequence[Any]: (_are_statuses, 'statuses in a tuple: ("...",)'),
    Collection[Any]: (_are_any_statuses, 'statuses in a tuple: ("...",)'),
    Mapping[Any, str]: (_are_stages, 'a dictionary from statuses to stages: {"...": "seated"}'),
    Any: (_is_status, "a status as the column stores it"),
    bool: (_is_boolean, "True or False"),
    int: (_is_number, "a whole number"),
}
"""Whether a value is of a declared type, and what that is called."""


def wrong_types(host: Attributes) -> Iterator[tuple[str, str]]:
    """Yield each attribute with a wrong type, and what to write."""
    for name, declared in get_type_hints(Attributes).items():
        is_right, meant = _KINDS[declared]
        value = getattr(host, name)
        if not is_right(value):
            yield f"{name} is {_shown(value)}.", _cure(name, value, meant)


def _shown(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"{str(value)[:100] if callable(value) else repr(value)[:100]}, a {type(value).__name__}"


def _cure(name: str, value: Any, meant: str) -> str:
    if isinstance(value, type) and issubclass(value, models.Model):
        return f'Write {name} = "{value._meta.label}".'
    return f"Write {name} as {meant}."
