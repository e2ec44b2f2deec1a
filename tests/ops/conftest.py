"""The real evening, for what needs data."""

from tests.example.conftest import restaurant

__all__ = ["restaurant"]
