"""The evidence for a promotion review: one frozen ``Report``, as JSON and through a template for each other format."""
