"""The seam to the booking project: the host protocol, ModelHost, floors, planners, evening files."""
