"""The life of a booking: intake, state transitions, seatings in the ledger, settling a decision."""
