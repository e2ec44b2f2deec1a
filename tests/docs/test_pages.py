"""The pictures of the documentation: one of each page, each shown, said in words, and small."""

import re
import struct
from pathlib import Path

import pytest

from tests import pages
from tests.example.processes import PROJECT

FOLDER = PROJECT / "docs" / "screenshots"
LARGEST_BYTES = 150 * 1024
WIDTHS = {390, 1200}
DOCUMENTS = ("README.md", "docs/pages.md")


def shown(document: str) -> list[tuple[str, Path]]:
    """The pictures of a document: what is said instead of each, and its file."""
    path = PROJECT / document
    return [
        (words, (path.parent / file).resolve()) for words, file in re.findall(r"!\[(.*?)\]\((.*?)\)", path.read_text())
    ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_picture_is_there_and_is_said_in_words(document: str) -> None:
    assert shown(document)
    for words, file in shown(document):
        assert file.is_file(), file
        assert len(words.split()) >= 4, f"{file.name}: {words!r} says too little to whoever does not see it"


def test_every_page_has_its_picture_and_no_picture_is_left_over() -> None:
    in_pages = {file.stem for _words, file in shown("docs/pages.md")}
    assert {page.key for page in pages.PAGES} <= in_pages
    assert {file.stem for file in FOLDER.iterdir()} == in_pages


def test_pictures_are_small() -> None:
    for file in FOLDER.iterdir():
        content = file.read_bytes()
        width, _height = struct.unpack(">II", content[16:24])
        assert len(content) <= LARGEST_BYTES, f"{file.name}: {len(content) // 1024} KB"
        assert width in WIDTHS, f"{file.name}: {width} px wide"
