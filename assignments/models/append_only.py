"""The trigger that keeps a table's rows from being rewritten. Migrations import this module."""


def append_only(table: str, *, function: str, trigger: str, row: str, column: str) -> tuple[str, str]:
    """Return the SQL that refuses UPDATE and DELETE of ``table``, and the SQL that reverses it.

    The refusal names the row as ``row`` and its ``column``. Migrations have run the result, so it must not change.
    """
    create = f"""
CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{table} is append-only: % refused for {row} %', TG_OP, OLD.{column}
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER {trigger}
    BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION {function}();
"""
    drop = f"""
DROP TRIGGER {trigger} ON {table};
DROP FUNCTION {function}();
"""
    return create, drop
