"""Empties the tables of all models, in one statement and without a look at the catalogue."""

from functools import lru_cache

from django.db import connection, connections, transaction

LARGE_BYTES = 1_000_000
KEPT = frozenset({"auth_permission", "django_content_type"})
"""Made of the models when the database is made, and the same for each test."""


def empty_all_tables(alias: str = "default") -> None:
    """Delete all rows, but not by way of the triggers, which keep the history. Tables that are not there are passed over."""
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute(_statement())


@lru_cache
def _statement() -> str:
    """To delete few rows is quicker than to truncate."""
    names = ", ".join(f"'{name}'" for name in sorted(connection.introspection.django_table_names()) if name not in KEPT)
    return f"""
        DO $$ DECLARE name text; size bigint; BEGIN
            SET LOCAL session_replication_role = replica;
            FOREACH name IN ARRAY ARRAY[{names}]::text[] LOOP
                size := pg_relation_size(to_regclass(name));
                IF size > {LARGE_BYTES} THEN
                    EXECUTE format('TRUNCATE %I CASCADE', name);
                ELSIF size > 0 THEN
                    EXECUTE format('DELETE FROM %I', name);
                END IF;
            END LOOP;
        END $$
        """
