"""An evening that V3 has decided, for all that needs rows."""

from tests.example.conftest import decided

__all__ = ["decided"]
