"""The demo's database: it is the demo's alone, or it is left as it is."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from example import demo_database
from example.demo_database import OccupiedError, claimed, make_user
from example.models import Restaurant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _unmarked(tmp_path: Path, monkeypatch: Any) -> Iterator[None]:
    monkeypatch.setattr(demo_database, "PASSWORD_FILE", tmp_path / "password")
    yield
    with connection.cursor() as cursor:
        cursor.execute("COMMENT ON TABLE example_restaurant IS NULL")


def make(name: str) -> Restaurant:
    return Restaurant.objects.create(name=name)


@pytest.mark.parametrize("anew", [True, False])
def test_a_database_with_data_that_it_did_not_make_is_refused_and_left_as_it_is(anew: bool) -> None:
    ours = make("Ours")
    with (
        pytest.raises(OccupiedError, match=r"rows in example_restaurant.*DATABASE_NAME=booking_demo"),
        claimed(anew=anew),
    ):
        pass
    assert list(Restaurant.objects.all()) == [ours]


def test_an_empty_one_is_taken_over_and_what_is_made_there_is_the_demos() -> None:
    with claimed(anew=True) as name:
        assert name == connection.settings_dict["NAME"]
        first = make("First")
        make_user()
    with claimed(anew=False):
        second = make("Second")
    with claimed(anew=False):
        assert list(Restaurant.objects.order_by("pk")) == [first, second]


@pytest.mark.parametrize("anew", [True, False])
def test_what_somebody_else_makes_there_later_is_not_destroyed(anew: bool) -> None:
    with claimed(anew=False):
        make("First")
    make("Ours")
    get_user_model().objects.create_user("anna")
    with pytest.raises(OccupiedError, match=r"\(restaurant Ours, user anna\)"), claimed(anew=anew):
        pass
    assert Restaurant.objects.count() == 2


def test_evenings_stay_if_somebody_objects_to_their_removal() -> None:
    """That they are removed otherwise: ``tests/example/test_demo.py``."""

    def object_to(database: str) -> None:
        raise InterruptedError(database)

    with claimed(anew=True, before_removal=object_to) as name:  # There are none yet.
        make("First")
    with pytest.raises(InterruptedError, match=name), claimed(anew=True, before_removal=object_to):
        pass
    assert Restaurant.objects.count() == 1


def test_the_password_is_made_once_and_only_its_owner_can_read_it() -> None:
    password = make_user()
    assert make_user() == password
    user = get_user_model().objects.get(username=demo_database.USERNAME)
    assert user.is_superuser
    assert user.check_password(password)
    assert password not in user.password
    assert stat.S_IMODE(demo_database.PASSWORD_FILE.stat().st_mode) == 0o600
    assert [path.name for path in demo_database.PASSWORD_FILE.parent.iterdir()] == ["password"]


def test_a_password_that_was_changed_is_the_printed_one_again() -> None:
    password = make_user()
    user = get_user_model().objects.get(username=demo_database.USERNAME)
    user.set_password("another")
    user.save()
    assert make_user() == password
    user.refresh_from_db()
    assert user.check_password(password)


def test_a_copy_has_the_same_rows_and_is_dropped_in_the_end() -> None:
    Restaurant.objects.create(name="Anchor")
    settings = connection.get_connection_params()
    with demo_database.copied("_copied") as name:
        assert name == f"{settings['dbname']}_copied"
        with psycopg.connect(**{**_plain(settings), "dbname": name}) as copy:
            assert copy.execute("SELECT name FROM example_restaurant").fetchall() == [("Anchor",)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", [name])
        assert cursor.fetchone() == (0,)


def test_a_database_to_which_somebody_is_connected_is_not_copied() -> None:
    with psycopg.connect(**_plain(connection.get_connection_params())), demo_database.copied("_copied") as name:
        assert name is None


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key in {"dbname", "user", "password", "host", "port"}}
