"""The evidence for a promotion review: one immutable ``Report``, as JSON and through a template for each other format."""
