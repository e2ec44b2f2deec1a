"""Small mistakes, made one at a time in the code that decides: a test has to notice each."""
