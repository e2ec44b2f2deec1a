"""V3 at work: which bookings are decided now, and the one transaction that decides them."""
