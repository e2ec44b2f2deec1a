"""The evidence for a promotion review: one frozen ``Report``, and a pure renderer for each format."""
