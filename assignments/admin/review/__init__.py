"""The review queue in the admin: what floor staff work with."""

from assignments.admin.review.page import ReviewItemAdmin

__all__ = ["ReviewItemAdmin"]
