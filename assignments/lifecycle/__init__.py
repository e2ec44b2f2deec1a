"""What happens to a booking: intake, state transitions, seatings in the ledger, settling a decision."""
