"""The example's host, which misbehaves in one of its callbacks when it is told to."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assignments.host import HostBooking, Message, Move, Seating
from example.host import ExampleHost
from tests.chaos.points import met
from tests.chaos.setting_up import DIES_EVERY, TOLD


@dataclass(kw_only=True)
class Poison:
    """What happens in ``callback`` when it is about the booking ``ref``, or about anything if that is empty."""

    callback: str = ""
    how: str = ""
    ref: str = ""


POISON = Poison()
HOW = ("raise", "hang", "SystemExit", "exit", "MemoryError", "segfault", "SIGKILL")
"""Without memory Python raises MemoryError, or the system sends SIGKILL."""


def _suffer(callback: str, refs: Sequence[str]) -> None:
    if POISON.callback != callback or (POISON.ref and POISON.ref not in refs):
        return
    met()
    match POISON.how:
        case "raise":
            raise RuntimeError("The host raises.")
        case "hang":
            time.sleep(30)
        case "SystemExit":
            raise SystemExit(0)
        case "exit":
            os._exit(3)
        case "MemoryError":
            raise MemoryError
        case "segfault":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)


class ChaosHost(ExampleHost):
    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        _suffer("bookings", refs)
        return super().bookings(refs, lock=lock)

    def unassigned(self, **kwargs: Any) -> Sequence[HostBooking]:
        _suffer("unassigned", [POISON.ref])
        return super().unassigned(**kwargs)

    def history(self, **kwargs: Any) -> Sequence[HostBooking]:
        _suffer("history", [POISON.ref])
        return super().history(**kwargs)

    def tables_of(self, refs: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        _suffer("tables_of", refs)
        return super().tables_of(refs)

    def floor_fingerprint(self, restaurant_ref: str) -> str:
        _suffer("floor_fingerprint", [POISON.ref])
        return super().floor_fingerprint(restaurant_ref)

    def floor(self, restaurant_ref: str) -> Any:
        _suffer("floor", [POISON.ref])
        return super().floor(restaurant_ref)

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        _suffer("on_confirmed", [each.booking_ref for each in seatings])
        super().on_confirmed(seatings)

    def on_moved(self, moves: Sequence[Move]) -> None:
        _suffer("on_moved", [each.booking_ref for each in moves])
        super().on_moved(moves)

    def on_review(self, reasons: Mapping[str, str]) -> None:
        _suffer("on_review", list(reasons))
        super().on_review(reasons)

    def on_released(self, booking_refs: Sequence[str]) -> None:
        _suffer("on_released", booking_refs)
        super().on_released(booking_refs)

    def deliver(self, message: Message) -> None:
        _suffer("deliver", [message.booking_ref])
        told = os.environ.get(TOLD)
        if told:  # What was told is on record even if the process is killed at once.
            line = f"{message.id} {message.number} {message.booking_ref} {message.topic}\n"
            with open(told, "ab", buffering=0) as file:  # noqa: PTH123
                file.write(line.encode())
        dies_every = int(os.environ.get(DIES_EVERY, "0"))
        if dies_every and _number_of_this_delivery(f"{told}.number") % dies_every == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def _number_of_this_delivery(file: str) -> int:
    """How many deliveries there were with this one, in all processes: each adds a byte, and sees where it was written."""
    with open(file, "ab", buffering=0) as counter:  # noqa: PTH123
        counter.write(b".")
        return counter.tell()
