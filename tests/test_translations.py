"""The second language is complete, current, and really shown."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from tests.debian import program

PROJECT = Path(__file__).resolve().parent.parent
PACKAGES = sorted(path.parent.name for path in PROJECT.glob("*/apps.py") if path.parent.name != "example")
LANGUAGE = "de"

_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%%|</?\w+>")


def catalogue(root: Path, package: str) -> Path:
    return root / package / "locale" / LANGUAGE / "LC_MESSAGES" / "django.po"


def entries(path: Path) -> dict[tuple[str, str], polib.POEntry]:
    return {(entry.msgctxt or "", entry.msgid): entry for entry in polib.pofile(str(path)) if not entry.obsolete}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_text_of_the_code_is_in_the_catalogue_and_no_other(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("xgettext", "gettext")
    copy = tmp_path / package
    shutil.copytree(PROJECT / package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(copy)
    call_command("makemessages", locale=[LANGUAGE], no_location=True, verbosity=0)
    said, kept = entries(catalogue(tmp_path, package)), entries(catalogue(PROJECT, package))
    assert {key for key in said if not said[key].obsolete} == set(kept), "Run: make messages"


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_untranslated_and_every_placeholder_is_kept(package: str) -> None:
    for entry in entries(catalogue(PROJECT, package)).values():
        assert entry.translated(), entry.msgid
        assert not entry.fuzzy, entry.msgid
        forms = list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]
        originals = {tuple(sorted(_PLACEHOLDER.findall(text))) for text in (entry.msgid, entry.msgid_plural) if text}
        for form in forms:
            assert tuple(sorted(_PLACEHOLDER.findall(form))) in originals, (entry.msgid, form)


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_shown_is_compiled_from_the_catalogue(package: str) -> None:
    source = catalogue(PROJECT, package)
    compiled = polib.mofile(str(source.with_suffix(".mo")))
    assert {(entry.msgctxt or "", entry.msgid): (entry.msgstr, entry.msgstr_plural) for entry in compiled} == {
        key: (entry.msgstr, entry.msgstr_plural) for key, entry in entries(source).items()
    }, "Run: make messages"


@pytest.mark.parametrize("package", PACKAGES)
def test_no_text_without_a_plural_is_one_with_a_plural_elsewhere(package: str) -> None:
    """gettext would not find it in the catalogue, and show it in English."""
    sources = [path.read_text() for path in (PROJECT / package).rglob("*.py")]
    # To parse all of them takes a second.
    asking = [source for source in sources if re.search(rf"\b({'|'.join(_ASKING)})\b", source)]
    plain = {text for source in asking for text in _plain_texts(ast.parse(source))}
    for path in (PROJECT / package).rglob("*.html"):
        plain |= {each[1] for each in _IN_TEMPLATES.findall(path.read_text())}
    assert plain
    plural = {entry.msgid for entry in entries(catalogue(PROJECT, package)).values() if entry.msgid_plural}
    assert not plain & plural


_ASKING = ("_", "gettext", "gettext_lazy")
_IN_TEMPLATES = re.compile(r"""\{% (?:translate|trans) (["'])(.*?)\1(?! context)""")


def _plain_texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        text = node.args[0]
        if name in _ASKING and isinstance(text, ast.Constant) and isinstance(text.value, str):
            yield text.value


@pytest.mark.django_db
def test_a_german_browser_gets_the_rollout_page_in_german(admin_client: Client) -> None:
    page = admin_client.get(reverse("admin:rollout_position_changelist"), headers={"Accept-Language": "de"})
    assert '<html lang="de"' in page.content.decode()
    assert "Mit der Stufenleiter beginnen …" in page.content.decode()
    assert "Begin the ladder" not in page.content.decode()
