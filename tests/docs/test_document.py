"""Documents are run as they are written, and a promise that is not kept is found out."""

from pathlib import Path

import pytest

from tests.docs.document import run, steps

TEXT = """# A document

```sh
# a comment
echo one \\
  two
false          # exits with 1: nothing to do
```

<!-- not run: it would wait for ever -->

```sh
sleep 100000
```

```python
raise SystemExit
```

```sql
-- How many. gives 2
SELECT count(*)
  FROM (VALUES (1), (2)) AS t;
SELECT 1 WHERE false;
```
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "document.md"
    path.write_text(TEXT)
    return path


@pytest.mark.django_db
def test_commands_and_queries_run_in_order_and_say_where_they_stand(document: Path) -> None:
    found = steps(document)
    assert [(step.place, step.promise) for step in found] == [
        ("document.md:5", "0"),
        ("document.md:7", "1"),
        ("document.md:22", "2"),
        ("document.md:24", ""),
    ]
    assert [run(step).strip() for step in found] == ["one two", "", "2", ""]


@pytest.mark.parametrize(
    ("was", "now", "complaint"),
    [
        ("false          # exits with 1: nothing to do", "false", r"document.md:7: false\nexits with 1"),
        ("exits with 1:", "exits with 3:", "exits with 1"),
        ("gives 2", "gives 3", "gives 2 instead of 3"),
        ("count(*)", "counts(*)", "counts"),
        ("SELECT 1 WHERE", "-- gives 1\nSELECT 1 WHERE", "gives nothing instead of 1"),
    ],
)
@pytest.mark.django_db
def test_a_promise_that_is_not_kept_fails_and_names_the_place(
    document: Path, was: str, now: str, complaint: str
) -> None:
    document.write_text(TEXT.replace(was, now))
    with pytest.raises(AssertionError, match=complaint):
        for step in steps(document):
            run(step)
