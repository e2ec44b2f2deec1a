"""Every form of every page, filled in by a superuser with values that no browser sends: an answer below 500 each time."""

from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import groupby
from random import Random
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, reverse
from django.urls.resolvers import RoutePattern
from hypothesis import given
from hypothesis import strategies as st

from example import models
from tests.fuzz.fuzzing import EXAMPLES, any_text, few, texts
from tests.pages import PAGES

OURS = ("assignments", "rollout", "example", "waffle")
SENTENCES = frozenset({200, 302, 400, 403, 404, 405})


class Forms(HTMLParser):
    """The fields of a page's POST forms, and the values that they offer."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, list[str]]]] = []
        self._inside: dict[str, list[str]] | None = None
        self._select = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = {} if said.get("method", "").lower() == "post" else None
            if self._inside is not None:
                self.forms.append((said.get("action", ""), self._inside))
        if self._inside is None:
            return
        if tag in {"input", "textarea", "select", "button"} and said.get("name"):
            self._inside.setdefault(said["name"], []).append(said.get("value", ""))
            self._select = said["name"]
        elif tag == "option" and self._select:
            self._inside[self._select].append(said.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = None
        if tag in {"select", "form"}:
            self._select = ""


def names() -> Iterator[tuple[str, int]]:
    """Each page of our models in the admin, by the name of its address, and how many arguments it takes."""
    for entry in admin.site.get_urls():
        if isinstance(entry, URLResolver) and isinstance(entry.pattern, RoutePattern):
            app = str(entry.pattern).partition("/")[0]
            for each in entry.url_patterns:
                if app in OURS and isinstance(each, URLPattern) and each.name:
                    yield each.name, each.pattern.regex.groups
        elif isinstance(entry, URLPattern) and (entry.name or "").startswith(OURS):
            yield str(entry.name), entry.pattern.regex.groups


NAMES = sorted(set(names()))
GROUPS = {
    group: list(pages)
    for group, pages in groupby(
        sorted(NAMES, key=lambda page: page[0].rpartition("_")[0]), lambda page: page[0].rpartition("_")[0]
    )
}
"""The pages of each model, and of each app those that belong to no model: they have the same rows, which are made once."""
ODD_KEYS = ("0", "x", "9" * 30, "_5F", "a\0b")


def rows(name: str) -> list[str]:
    """Keys of rows that a page of this name may show."""
    for model in admin.site._registry:
        if name.startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
            return [str(key) for key in model._default_manager.order_by("pk").values_list("pk", flat=True)[:2]]
    return []


def address(name: str, arguments: int, keys: Sequence[str], chance: Random) -> str | None:
    """The page's address, of some of these rows; None without any, or for a key that it cannot have."""
    if arguments and not keys:
        return None
    try:
        return reverse(f"admin:{name}", args=[chance.choice(keys) for _ in range(arguments)])
    except NoReverseMatch:
        return None


def filled_in(chance: Random, fields: dict[str, list[str]]) -> dict[str, Any]:
    """What the page offers, but for one to four fields."""
    data: dict[str, Any] = {name: values[0] for name, values in fields.items() if name != "csrfmiddlewaretoken"}
    for name in chance.sample(sorted(data), k=min(len(data), chance.randrange(5))):
        offered = [text for text in fields[name] if text]
        some = [chance.choice(offered) if offered and chance.random() < 0.5 else any_text(chance) for _ in range(3)]
        data[name] = some[: chance.randrange(4)] if chance.random() < 0.3 else some[0]
    if chance.random() < 0.5:
        data[any_text(chance)] = any_text(chance)
    return {name: _as_utf_8(value) for name, value in data.items()}


def _as_utf_8(value: Any) -> Any:
    """Without halves of characters, which the test client could not send. (What is sent otherwise is replaced by Django.)"""
    texts = value if isinstance(value, list) else [value]
    said = [text.encode("utf-8", "replace").decode() for text in texts]
    return said if isinstance(value, list) else said[0]


def play(client: Client, url: str, chance: Random) -> None:
    """Open the page, and send each of its forms. An exception fails the test, as it would be a 500."""
    opened = client.get(url)
    assert opened.status_code in SENTENCES, (url, opened.status_code)
    forms = Forms(opened.content.decode()).forms if opened.status_code == 200 and not opened.streaming else []
    for action, fields in forms or [("", {})]:
        if action.endswith(("logout/", "set_language/")):
            continue
        where = action if action.startswith("/") else url
        data = filled_in(chance, {_clean(name): values for name, values in fields.items()})
        sent = client.post(
            where, {_clean(name.encode("utf-8", "replace").decode()): text for name, text in data.items()}
        )
        assert sent.status_code in SENTENCES, (where, data, sent.status_code)


def _clean(name: str) -> str:
    """A field's name as a browser may write it into a multipart message."""
    return name.replace("\r", " ").replace("\n", " ")


@pytest.mark.timeout(180 + 20 * EXAMPLES)
@pytest.mark.parametrize("group", GROUPS)
def test_each_form_is_answered(group: str, decided: models.Restaurant, admin_client: Client) -> None:
    @few(1)
    @given(st.integers(0, 2**32))
    def played(seed: int) -> None:
        for name, arguments in GROUPS[group]:
            chance = Random(f"{name} {seed}")
            for keys in (rows(name), ODD_KEYS) if arguments else ((),):
                if (url := address(name, arguments, keys, chance)) is not None:
                    play(admin_client, url, chance)

    played()


@pytest.mark.django_db
@pytest.mark.parametrize("value", ["x", "\x0f", "²", "9" * 40, "a\0b"])
def test_a_pair_of_tables_that_are_no_tables_is_refused(value: str, admin_client: Client) -> None:
    url = reverse("admin:example_tableadjacency_add")
    answered = admin_client.post(url, {"first": value, "second": value})
    assert answered.status_code == 200
    assert models.TableAdjacency.objects.count() == 0


def test_every_page_with_a_form_is_among_them() -> None:
    known = {name for name, _ in NAMES}
    assert {"assignments_reviewitem_change", "rollout_promote", "assignments_closure_add"} <= known
    assert len(known) > len(PAGES)


@pytest.mark.timeout(180)
@pytest.mark.django_db
def test_an_address_with_odd_questions_is_answered(decided: models.Restaurant, admin_client: Client) -> None:
    lists = [name for name, arguments in NAMES if name.endswith("changelist")]
    keys = [
        "q",
        "o",
        "p",
        "e",
        "all",
        "show",
        "restaurant",
        "date",
        "day",
        "since",
        "before",
        "_popup",
        "_to_field",
        "x__y",
    ]

    @few(12)
    @given(st.sampled_from(lists), st.dictionaries(st.sampled_from(keys) | texts, texts, max_size=3))
    def played(name: str, question: dict[str, str]) -> None:
        said = {_as_utf_8(key): _as_utf_8(text) for key, text in question.items()}
        answered = admin_client.get(reverse(f"admin:{name}"), said)
        assert answered.status_code in SENTENCES, (name, said, answered.status_code)

    played()
