"""Hosts that misbehave on purpose, for processes that tests start."""

import gc
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.db import connection

from assignments.coordination import dispatch
from assignments.integration.host import HostBooking, Message, Seating
from example.host import ExampleHost
from example.models import Booking, Restaurant


class SlowHost(ExampleHost):
    """Takes four seconds, inside the deciding transaction, to hear of a confirmation."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        super().on_confirmed(seatings)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(4) AS in_the_middle")


class RefusingHost(ExampleHost):
    """Raises for one booking, quoting its guest."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        super().on_confirmed(seatings)
        refused = Booking.objects.filter(pk__in=[seating.booking_ref for seating in seatings], reference="B003").first()
        if refused:
            raise RuntimeError(f"{refused.guest_name} <{refused.guest_email}> cannot be told")


class WritingHost(ExampleHost):
    """Writes where it should only read."""

    def bookings(self, refs: Sequence[str], *, lock: bool = False) -> Mapping[str, HostBooking]:
        Booking.objects.filter(pk__in=refs).update(party=1)
        return super().bookings(refs, lock=lock)


class ForgetfulHost(ExampleHost):
    """Cannot say which bookings wait."""

    def unassigned(self, **kwargs: Any) -> Sequence[HostBooking]:
        raise KeyError("Canary Guest <canary@example.test>")


class BreakingHost(ExampleHost):
    """With which a pass meets an error that no booking has caused, once: as long as there is the file ``BREAKS``."""

    def unassigned(self, **kwargs: Any) -> Sequence[HostBooking]:
        once = Path(os.environ["BREAKS"])
        if once.exists():
            once.unlink()
            dispatch.run_pass = self._break  # type: ignore[assignment]
        return super().unassigned(**kwargs)

    @staticmethod
    def _break(limits: Any) -> Any:
        raise KeyError("Canary Guest <canary@example.test>")


class WritingHistorian(ExampleHost):
    """Writes where it is asked about the past."""

    def history(self, **kwargs: Any) -> Sequence[HostBooking]:
        Booking.objects.update(party=1)
        return super().history(**kwargs)


class HostOfManagers(ExampleHost):
    """A manager sees the restaurant that her user is named after; everybody else sees all."""

    def restaurants_of(self, user: Any) -> Collection[str] | None:
        if user.get_username() == "unreachable":
            raise ConnectionError("the staff directory")
        names = Restaurant.objects.values_list("name", "pk")
        return {str(pk) for name, pk in names if name == user.get_username()} or None


class DeadlyHost(ExampleHost):
    """Ends the process when it hears of one booking, each time in another way; ``DEADLY`` is a file that counts them."""

    def on_confirmed(self, seatings: Sequence[Seating]) -> None:
        if Booking.objects.filter(pk__in=[seating.booking_ref for seating in seatings], reference="B003").exists():
            self._end()
        super().on_confirmed(seatings)

    def deliver(self, message: Message) -> None:
        if Booking.objects.filter(pk=message.booking_ref or 0, reference="B004").exists():
            self._end()

    @staticmethod
    def _end() -> None:
        with Path(os.environ["DEADLY"]).open("a") as ends:
            ends.write(".")
            before = ends.tell() - 1
        match before % 3:
            case 0:
                os._exit(3)
            case 1:
                os.kill(os.getpid(), signal.SIGSEGV)
            case _:
                raise SystemExit(0)


class ExemptHost(ExampleHost):
    """Says whether the garbage collector still goes through what was loaded before the work."""

    def unassigned(self, **kwargs: Any) -> Sequence[HostBooking]:
        self._say()
        return super().unassigned(**kwargs)

    def deliver(self, message: Message) -> None:
        self._say()

    def _say(self) -> None:
        is_collected = any(each is type(self) for each in gc.get_objects())
        sys.stderr.write("The heap is collected.\n" if is_collected else "The heap is exempt.\n")
