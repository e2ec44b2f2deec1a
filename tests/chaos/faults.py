from collections.abc import Callable, Iterator

from tests.chaos.result import Result
from tests.chaos.world import World


def all_of_them(world: World) -> Iterator[tuple[str, Callable[[], Result]]]:
    return iter(())
