"""Mistakes that a type checker finds before anybody runs them. Each is marked."""

from datetime import UTC, datetime

from assignments import api
from assignments.host import Host, HostBooking, ModelHost


class WrongHost(ModelHost):
    def party_of(self, row: int) -> int:  # refused
        return row


class HalfHost:
    def label(self, booking_ref: str) -> str:
        return booking_ref


half: Host = HalfHost()  # refused
api.booking_changed("B1")  # refused
api.booking_changed(booking_ref=1)  # refused
api.assign(booking_ref="B1", table_refs=["T1"])  # refused
table_refs: list[str] = api.assign_now(booking_ref="B1").kind  # refused
HostBooking(ref="B1", restaurant_ref="R1", starts_at=datetime.now(UTC), party="2")  # refused
api.reserve(booking_ref="B1")  # refused
