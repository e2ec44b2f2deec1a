"""Booking models of other shapes than the example's, for the tests of ``ModelHost``."""
