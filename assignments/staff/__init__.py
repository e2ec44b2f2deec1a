"""What pages show staff: the review queue, the service day, a booking's history, labels. Reads only."""
