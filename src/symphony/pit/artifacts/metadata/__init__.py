"""What is known of the bodies: a log, which is the truth, and an index made of it."""
