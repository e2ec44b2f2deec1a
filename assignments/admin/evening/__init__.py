"""The evening's page: the grid, the panel beside it, what can be done there, and the sheet that is printed."""
