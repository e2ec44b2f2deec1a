"""A host defined by field names. For a usual booking model a project needs about fifteen lines.

    class BookingHost(ModelHost):
        booking_model = "booking.Booking"
        start_field = "starts_at"
        restaurant_field = "restaurant"
        status_field = "status"
        tables_field = "tables"
        table_model = "booking.Table"
        table_restaurant_field = "restaurant"

Floor data that the host's tables do not have (zones, adjacency, joins, service periods, turn times, party limits) is
stored in this app and edited in its admin.
"""

from assignments.integration.model_host.checking import Checking
from assignments.integration.model_host.floors import ALL_DAY
from assignments.integration.model_host.guests import Guests

__all__ = ["ALL_DAY", "ModelHost"]


class ModelHost(Guests, Checking):
    """An ``assignments.integration.host.Host`` over the project's models, configured by its attributes.

    A field set to None does not exist in the project's model.
    """
