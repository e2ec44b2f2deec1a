"""A booking as its project calls it, for pages that must open whatever the project says."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import DatabaseError
from django.utils.translation import gettext as _

from assignments.error_logging import log_error
from assignments.integration.host import HostBooking, configured

logger = logging.getLogger("assignments.admin")


@dataclass(frozen=True, kw_only=True, slots=True)
class HostView:
    """``url`` is "" where it has no page, or is gone. ``problem``: why ``booking`` is None, in a sentence."""

    label: str
    url: str = ""
    booking: HostBooking | None = None
    problem: str = ""


def host_view(booking_ref: str) -> HostView:
    """Asks the host once. Never raises; what the host raised is logged by type, for a message may name a guest."""
    host = configured()
    try:
        booking = host.bookings([booking_ref]).get(booking_ref)
        label, url = host.label(booking_ref), host.admin_url(booking_ref)
    except Exception as error:  # noqa: BLE001  (what is recorded here can be read all the same)
        log_error(logger, error, "The host failed for the page of booking %s", booking_ref)
        return HostView(
            label=_nameless(booking_ref), problem=_("The booking project could not be asked about this booking.")
        )
    if booking is None:
        return HostView(label=label, problem=_("The booking project no longer knows this booking."))
    return HostView(label=label, url=url or "", booking=booking)


def bookings_of(booking_refs: Sequence[str]) -> Mapping[str, HostBooking]:
    """These bookings by ref; none where the host cannot tell. For none it is not asked. Raises DatabaseError only."""
    if not booking_refs:
        return {}
    try:
        return configured().bookings(booking_refs)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (what is recorded here can be read all the same)
        log_error(logger, error, "The host failed for the bookings of a page")
        return {}


def label_of(booking_ref: str) -> str:
    """How staff recognise the booking, or its number where the host cannot tell. Never raises."""
    try:
        return configured().label(booking_ref)
    except Exception as error:  # noqa: BLE001  (the number names it too)
        log_error(logger, error, "The host failed for the label of booking %s", booking_ref)
        return _nameless(booking_ref)


def restaurant_names(restaurant_refs: Sequence[str]) -> Mapping[str, str]:
    """Names of restaurants by ref, the ref where the host has none or cannot tell. Raises DatabaseError only."""
    refs = {ref: ref for ref in restaurant_refs}
    try:
        return refs | dict(configured().restaurant_names(restaurant_refs))
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (the ref names it too)
        log_error(logger, error, "The host failed when asked for names of restaurants")
        return refs


def _nameless(booking_ref: str) -> str:
    return _("Booking %(ref)s") % {"ref": booking_ref}
