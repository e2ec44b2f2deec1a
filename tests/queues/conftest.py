"""What the tests of each queue begin with."""

import pytest

from example import models
from tests.example.conftest import load


@pytest.fixture
def booked() -> models.Restaurant:
    """A few bookings of the real evening, which V3 decides, and nobody has asked for yet."""
    return load(bookings=6)
