"""Booking labels and restaurant names from the host, for pages that must open even if the host fails."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.translation import gettext as _

from assignments.admin.restaurants import restaurants_of
from assignments.error_logging import log_error
from assignments.integration.host import Guest, HostBooking, KnowsGuests
from assignments.integration.project_host import able, configured, is_walk_in
from assignments.planning.text import Text
from assignments.staff import labels

logger = logging.getLogger("assignments.admin")

GUESTS = "assignments.view_guests"
"""The permission to see names, phones and notes of guests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostView:
    """What the host knows about a booking.

    ``url`` is "" if it has no page or no longer exists. ``problem``: why ``booking`` is None, as a sentence.
    """

    label: str
    url: str = ""
    booking: HostBooking | None = None
    problem: str = ""


def host_view(booking_ref: str) -> HostView:
    """Ask the host once. Never raises. Errors are logged by type, because a message may name a guest."""
    host = configured()
    try:
        booking = host.bookings([booking_ref]).get(booking_ref)
        label, url = label_of(booking_ref), host.admin_url(booking_ref)
    except Exception as error:  # noqa: BLE001  (our own records can be shown anyway)
        log_error(logger, error, "The host raised an error when reading booking %s for its page", booking_ref)
        return HostView(
            label=_nameless(booking_ref), problem=_("The booking project could not be reached for this booking.")
        )
    if booking is None:
        return HostView(label=label, problem=_("This booking no longer exists in the booking project."))
    return HostView(label=label, url=url or "", booking=booking)


def bookings_of(booking_refs: Sequence[str]) -> Mapping[str, HostBooking]:
    """Return these bookings by ref, or none if the host fails. Without refs the host is not asked.

    Raises DatabaseError only.
    """
    if not booking_refs:
        return {}
    try:
        return configured().bookings(booking_refs)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (our own records can be shown anyway)
        log_error(logger, error, "The host raised an error when reading the bookings of a page")
        return {}


def label_of(booking_ref: str) -> str:
    """Return the host's label of the booking, or its number if the host fails. Never raises."""
    if is_walk_in(booking_ref):
        return _("Walk-in %(number)s") % {"number": booking_ref[-4:]}
    try:
        return configured().label(booking_ref)
    except Exception as error:  # noqa: BLE001  (the number will do)
        log_error(logger, error, "The host raised an error when reading the label of booking %s", booking_ref)
        return _nameless(booking_ref)


def in_labels(detail: str) -> str:
    """Render a text in the reader's language, with bookings named by their labels instead of their refs."""
    return labels.render(_labelled(detail))


def _labelled(said: str) -> str:
    if not isinstance(said, Text):
        return said
    values = {
        name: ", ".join(_label_or_ref(ref) for ref in str(value).split(", ") if ref)
        if name == "booking"
        else _labelled(value)
        if isinstance(value, Text)
        else value
        for name, value in said.values.items()
    }
    return Text(said.template, values, said.plural)


def _label_or_ref(booking_ref: str) -> str:
    """Return the ref if the label has it: "booking 12" needs no "booking Booking 12"."""
    label = label_of(booking_ref)
    return booking_ref if booking_ref in label else label


def restaurant_names(restaurant_refs: Sequence[str]) -> Mapping[str, str]:
    """Return restaurant names by ref; the ref itself where the host has no name or fails. Raises DatabaseError only."""
    refs = {ref: ref for ref in restaurant_refs}
    try:
        return refs | dict(configured().restaurant_names(restaurant_refs))
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (the ref will do)
        log_error(logger, error, "The host raised an error when asked for names of restaurants")
        return refs


def may_see_guests(request: HttpRequest) -> bool:
    """Return whether the user may see who comes."""
    return bool(request.user.has_perm(GUESTS))


def guests_of(request: HttpRequest, booking_refs: Iterable[str]) -> Mapping[str, Guest]:
    """Return the guests of these bookings, by ref, if the user may see them; otherwise the host is not asked.

    Nothing of it is kept. A host that fails names nobody; errors are logged by type. Raises DatabaseError only.
    """
    refs = sorted(ref for ref in booking_refs if ref and not is_walk_in(ref))
    if not refs or not may_see_guests(request):
        return {}
    host = able(configured(), KnowsGuests)
    if host is None:
        return {}
    try:
        return host.guests(refs)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (by type: a host's message may name somebody)
        log_error(logger, error, "The host raised an error when asked for the guests of a page")
        return {}


def find(request: HttpRequest, text: str, *, limit: int) -> Sequence[str]:
    """Return refs of bookings whose guests match, within the user's restaurants. Raises DatabaseError only."""
    host = able(configured(), KnowsGuests)
    if host is None or not may_see_guests(request):
        return []
    try:
        return host.find(text, restaurant_refs=restaurants_of(request), limit=limit)
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001  (by type: a host's message may name somebody)
        log_error(logger, error, "The host raised an error when asked to find bookings")
        return []


def _nameless(booking_ref: str) -> str:
    return _("Booking %(ref)s") % {"ref": booking_ref}
