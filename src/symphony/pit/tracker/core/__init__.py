"""The pure heart of the tracker: a state machine and the plan it follows. No I/O."""
