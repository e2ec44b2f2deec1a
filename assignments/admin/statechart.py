"""The state machine as a chart: the position of each state, and a curve for each transition.

States and transitions are read from django-fsm, so the chart cannot differ from the machine. Units are those of the
SVG's view box.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django_fsm import ANY_OTHER_STATE, ANY_STATE

from assignments.models import Assignment, State
from assignments.staff import labels

WIDTH, NODE_WIDTH, NODE_HEIGHT, ROW = 430, 156, 34, 74
LEFT, RIGHT, TOP = 62, 264, 14
SHOWN_NUMBERS = 2

_MAIN = (
    State.CREATED,
    State.CAPACITY_VERIFIED,
    State.ASSIGNMENT_PENDING,
    State.ASSIGNMENT_IN_PROGRESS,
    State.ASSIGNED,
    State.CONFIRMED,
)
_ASIDE = {State.FAILED: 0.7, State.MANUAL_REVIEW: 2.5, State.CANCELLED: 4.6}
"""States beside the main column, with the row of each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A state, its upper left corner, and whether the booking is or was in it."""

    state: str
    label: str
    x: float
    y: float
    is_here: bool
    is_visited: bool

    @property
    def middle(self) -> tuple[float, float]:
        return self.x + NODE_WIDTH / 2, self.y + NODE_HEIGHT / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """A transition between two states: its curve, and the numbers of the booking's steps on it."""

    source: str
    target: str
    curve: str
    is_taken: bool
    numbers: str
    label_x: float
    label_y: float

    @property
    def label_width(self) -> float:
        return 10 + 6.2 * len(self.numbers)

    @property
    def label_left(self) -> float:
        """From the label's middle."""
        return -self.label_width / 2


@dataclass(frozen=True, kw_only=True, slots=True)
class StateChart:
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    from_anywhere: tuple[str, ...]
    """Labels of the states that can follow any other. Drawn only if the booking took such a step."""

    width: int = WIDTH
    node_width: int = NODE_WIDTH
    node_height: int = NODE_HEIGHT
    height: int = TOP * 2 + ROW * (len(_MAIN) - 1) + NODE_HEIGHT


def transitions() -> tuple[set[tuple[str, str]], set[str]]:
    """Return the pairs of states from django-fsm, and the states that can follow any other."""
    pairs, from_anywhere = set(), set()
    for each in Assignment._meta.get_field("state").get_all_transitions(Assignment):
        if each.source in {ANY_STATE, ANY_OTHER_STATE}:
            from_anywhere.add(str(each.target))
        else:
            pairs.add((str(each.source), str(each.target)))
    return pairs, from_anywhere


def draw(state: str, steps: Iterable[tuple[int, str, str]]) -> StateChart:
    """Draw the machine for a booking in ``state`` with these steps (number, source, target)."""
    taken: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, source, target in steps:
        taken[source, target].append(number)
    visited = {state, *(each for pair in taken for each in pair)}
    corners = _corners()
    nodes = {
        each: Node(
            state=each,
            label=labels.state(each),
            x=x,
            y=y,
            is_here=each == state,
            is_visited=each in visited,
        )
        for each, (x, y) in corners.items()
    }
    pairs, from_anywhere = transitions()
    # Taken steps are drawn last, on top of the others.
    drawn = sorted(pairs | taken.keys(), key=lambda pair: (pair in taken, pair))
    return StateChart(
        nodes=tuple(nodes.values()),
        edges=tuple(
            _edge(nodes[source], nodes[target], taken.get((source, target), ()))
            for source, target in drawn
            if source in nodes and target in nodes
        ),
        from_anywhere=tuple(labels.state(each) for each in sorted(from_anywhere)),
    )


def _corners() -> Mapping[str, tuple[float, float]]:
    corners: dict[str, tuple[float, float]] = {str(each): (LEFT, TOP + ROW * row) for row, each in enumerate(_MAIN)}
    corners |= {str(each): (RIGHT, TOP + ROW * row) for each, row in _ASIDE.items()}
    missing = [str(each) for each in State if str(each) not in corners]
    assert not missing, f"The chart has no place for {', '.join(missing)}."
    return corners


def _edge(source: Node, target: Node, numbers: Sequence[int]) -> Edge:
    if source.x != target.x:
        curve, label = _across(source, target)
    elif 0 < target.y - source.y < 1.5 * ROW and source.x == LEFT:
        (x, _y), below = source.middle, source.y + NODE_HEIGHT
        curve, label = f"M{x:g} {below:g} L{x:g} {target.y - 6:g}", (x, (below + target.y) / 2 + 2)
    else:
        curve, label = _around(source, target)
    return Edge(
        source=source.state,
        target=target.state,
        curve=curve,
        is_taken=bool(numbers),
        numbers=_numbered(numbers),
        label_x=label[0],
        label_y=label[1],
    )


def _across(source: Node, target: Node) -> tuple[str, tuple[float, float]]:
    """A curve between the columns. The way back is a little lower, so that both are visible."""
    goes_right = target.x > source.x
    shift = -6 if goes_right else 6
    start_x, end_x = (source.x + NODE_WIDTH, target.x - 6) if goes_right else (source.x, target.x + NODE_WIDTH + 6)
    start_y, end_y = source.middle[1] + shift, target.middle[1] + shift
    middle = (start_x + end_x) / 2
    curve = f"M{start_x:g} {start_y:g} C{middle:g} {start_y:g} {middle:g} {end_y:g} {end_x:g} {end_y:g}"
    return curve, (middle, (start_y + end_y) / 2 + 4)


def _around(source: Node, target: Node) -> tuple[str, tuple[float, float]]:
    """A curve within a column, around other states. It is wider for longer distances."""
    rows = abs(target.y - source.y) / ROW
    is_left = source.x == LEFT
    edge = source.x if is_left else source.x + NODE_WIDTH
    bow = edge - 16 - 13 * rows if is_left else edge + 16 + 13 * rows
    tip = edge - 6 if is_left else edge + 6
    start, end = source.middle[1], target.middle[1] + 4 * rows
    if source.state == target.state:  # It stays: a loop beside it.
        bow = edge - 46 if is_left else edge + 46
        start, end = start - 9, end + 9
    curve = f"M{edge:g} {start:g} C{bow:g} {start:g} {bow:g} {end:g} {tip:g} {end:g}"
    return curve, ((edge + 3 * bow) / 4 + 4, (start + end) / 2 + 4)


def _numbered(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:SHOWN_NUMBERS])
    return f"{shown} … {numbers[-1]}" if len(numbers) > SHOWN_NUMBERS else shown
