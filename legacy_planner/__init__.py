"""The legacy planner, which confirms bookings until V3 takes over. It is deleted afterwards."""
