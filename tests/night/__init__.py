"""The suite by a clock that says what it will on a hard night."""
