"""Whoever deletes evidence, the database itself counts it: a session need only say that it is pruning, and may count nothing.

``prune`` of the release before counts by its own INSERT into a tally. While it runs beside this one, that INSERT is left out.
"""

from django.db import migrations

_COUNTED = {
    "comparison": """
    INSERT INTO rollout_comparisontally AS tally
           (day, restaurant_ref, origin, verdict, comparisons, candidate_ms_sum, candidate_ms_max)
    SELECT (recorded_at AT TIME ZONE 'UTC')::date, restaurant_ref, origin, verdict, count(*),
           coalesce(sum(candidate_ms), 0), coalesce(max(candidate_ms), 0)
      FROM deleted GROUP BY 1, 2, 3, 4
    ON CONFLICT (day, restaurant_ref, origin, verdict) DO UPDATE
       SET comparisons = tally.comparisons + excluded.comparisons,
           candidate_ms_sum = tally.candidate_ms_sum + excluded.candidate_ms_sum,
           candidate_ms_max = greatest(tally.candidate_ms_max, excluded.candidate_ms_max);
""",
    "daycomparison": """
    INSERT INTO rollout_daytally AS tally (service_date, restaurant_ref, origin, comparisons, worse, unsafe, errors)
    SELECT service_date, restaurant_ref, origin, count(*),
           count(*) FILTER (WHERE (candidate_seated, candidate_covers) < (control_seated, control_covers)),
           count(*) FILTER (WHERE candidate_unsafe > 0), count(*) FILTER (WHERE error <> '')
      FROM deleted GROUP BY 1, 2, 3
    ON CONFLICT (service_date, restaurant_ref, origin) DO UPDATE
       SET comparisons = tally.comparisons + excluded.comparisons, worse = tally.worse + excluded.worse,
           unsafe = tally.unsafe + excluded.unsafe, errors = tally.errors + excluded.errors;
""",
    "frozenbatch": """
    INSERT INTO rollout_audittally AS tally
           (day, restaurant_ref, decisions, refusals, unsafe, wrong_refusals, avoidable_by_moves, worse, unjudged, unaudited)
    SELECT (at AT TIME ZONE 'UTC')::date, restaurant_ref, 0, 0, 0, 0, 0, 0, 0, sum(attempts)
      FROM deleted WHERE audited_at IS NULL GROUP BY 1, 2
    ON CONFLICT (day, restaurant_ref) DO UPDATE SET unaudited = tally.unaudited + excluded.unaudited;
""",
    "audit": """
    INSERT INTO rollout_audittally AS tally
           (day, restaurant_ref, decisions, refusals, unsafe, wrong_refusals, avoidable_by_moves, worse, unjudged, unaudited)
    SELECT (decided_at AT TIME ZONE 'UTC')::date, restaurant_ref, count(*), count(*) FILTER (WHERE is_refusal),
           count(*) FILTER (WHERE flaws <> '{}'), count(*) FILTER (WHERE wrong_refusal),
           count(*) FILTER (WHERE avoidable_by_moves),
           count(*) FILTER (WHERE verdict IN ('worse', 'only_legacy_seats')), count(*) FILTER (WHERE error <> ''), 0
      FROM deleted GROUP BY 1, 2
    ON CONFLICT (day, restaurant_ref) DO UPDATE
       SET decisions = tally.decisions + excluded.decisions, refusals = tally.refusals + excluded.refusals,
           unsafe = tally.unsafe + excluded.unsafe, wrong_refusals = tally.wrong_refusals + excluded.wrong_refusals,
           avoidable_by_moves = tally.avoidable_by_moves + excluded.avoidable_by_moves,
           worse = tally.worse + excluded.worse, unjudged = tally.unjudged + excluded.unjudged;
""",
}
_TALLIES = ("comparisontally", "daytally", "audittally")


def _counts(table: str, statement: str) -> str:
    return f"""
CREATE FUNCTION rollout_{table}_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
{statement}
    RETURN NULL;
END $$;
CREATE TRIGGER {table}_counted
    AFTER DELETE ON rollout_{table} REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION rollout_{table}_is_counted();
"""


ONLY_ONCE = """
CREATE FUNCTION rollout_is_counted_already() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {tally}_counted_once
    BEFORE INSERT ON rollout_{tally}
    FOR EACH ROW WHEN (pg_trigger_depth() = 0 AND current_setting('rollout.pruning', true) = 'on')
    EXECUTE FUNCTION rollout_is_counted_already();
"""
    for tally in _TALLIES
)
AS_BEFORE = (
    "".join(f"DROP TRIGGER {tally}_counted_once ON rollout_{tally};\n" for tally in _TALLIES)
    + "DROP FUNCTION rollout_is_counted_already();\n"
    + "".join(
        f"DROP TRIGGER {table}_counted ON rollout_{table};\nDROP FUNCTION rollout_{table}_is_counted();\n"
        for table in _COUNTED
    )
)


class Migration(migrations.Migration):
    dependencies = [
        ("rollout", "0016_fed_decisions"),
    ]

    operations = [
        migrations.RunSQL("".join(_counts(table, sql) for table, sql in _COUNTED.items()) + ONLY_ONCE, AS_BEFORE),
    ]
