"""The real evening, for documents whose commands and queries need data."""

from tests.example.conftest import restaurant

__all__ = ["restaurant"]
