"""A database backend that starts its own PostgreSQL. For development, the demo and the tests."""
