"""The review queue in the admin."""

from assignments.admin.review.page import ReviewItemAdmin

__all__ = ["ReviewItemAdmin"]
