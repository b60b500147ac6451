"""What is known of the bodies: a log, which is authoritative, and an index made from it."""
