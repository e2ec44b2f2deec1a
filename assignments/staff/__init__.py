"""Read-only data for staff pages: the review queue, the service day, a booking's history, labels."""
