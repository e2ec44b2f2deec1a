"""What the tests of each queue begin with."""

import pytest

from example import models
from tests.example.conftest import keep_few, load


@pytest.fixture
def booked() -> models.Restaurant:
    """A few bookings of the real evening, which V3 decides, and nobody has asked for yet."""
    restaurant = load()
    keep_few(restaurant, bookings=6)
    return restaurant
