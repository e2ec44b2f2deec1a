"""The interface to the booking project: host protocol, ModelHost, floors, planners, evening files."""
