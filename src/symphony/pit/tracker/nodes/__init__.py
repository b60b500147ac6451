"""What one node does: its bindings, its attempt, its values and what they cost."""
