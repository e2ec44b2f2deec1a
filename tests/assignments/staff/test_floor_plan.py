"""Where tables stand: by zone until staff place them, and then just there, without one over another."""

from assignments.models import TablePlace
from assignments.staff.floor_plan import IN_A_ROW, FloorPlan, Placed, plan_of
from assignments.testing import a_floor, a_table


def overlap(one: Placed, other: Placed) -> bool:
    return (
        one.left < other.left + other.width
        and other.left < one.left + one.width
        and one.top < other.top + other.height
        and other.top < one.top + one.height
    )


def none_covers_another(plan: FloorPlan) -> bool:
    tables = plan.tables
    return not any(overlap(one, other) for at, one in enumerate(tables) for other in tables[at + 1 :])


FLOOR = a_floor(
    tables=[a_table(f"T{number}", zone_ref="garden" if number < 9 else "hall") for number in range(1, 14)],
)


def test_tables_stand_in_rows_by_zone_until_somebody_places_them() -> None:
    plan = plan_of(FLOOR, {})
    assert [each.zone_ref for each in plan.headings] == ["garden", "hall"]
    assert len({each.y for each in plan.tables[:IN_A_ROW]}) == 1
    assert plan.tables[IN_A_ROW].y > plan.tables[0].y
    assert max(each.y for each in plan.tables[:8]) < plan.headings[1].y < plan.tables[8].top
    assert none_covers_another(plan)
    assert all(each.left >= 0 and each.left + each.width <= plan.width for each in plan.tables)
    assert max(each.top + each.height for each in plan.tables) <= plan.height


def test_a_placed_table_stands_there_and_the_others_below() -> None:
    places = {"T2": TablePlace(table_ref="T2", x=700, y=300, shape="round")}
    plan = plan_of(FLOOR, places)
    placed = plan.tables[1]
    assert (placed.x, placed.y, placed.shape, placed.is_placed) == (700, 300, "round", True)
    assert min(each.top for each in plan.tables if not each.is_placed) > placed.top + placed.height
    assert none_covers_another(plan)


def test_a_table_for_many_is_longer_once_it_is_said_to_be_long() -> None:
    floor = a_floor(tables=[a_table("T1", seats=10)])
    square, long, tall = (
        plan_of(floor, {"T1": TablePlace(table_ref="T1", x=500, y=500, shape=shape)}).tables[0]
        for shape in ("square", "long", "tall")
    )
    assert long.width > square.width
    assert tall.height > square.height


def test_a_table_is_never_cut_off_at_the_edge() -> None:
    plan = plan_of(FLOOR, {"T1": TablePlace(table_ref="T1", x=0, y=0, shape="square")})
    assert (plan.tables[0].left, plan.tables[0].top) == (0, 0)


def test_a_floor_without_tables_has_a_plan() -> None:
    assert plan_of(a_floor(tables=[]), {}).tables == ()
