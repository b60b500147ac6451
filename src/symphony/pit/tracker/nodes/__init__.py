"""One node at work: its bindings, its attempt, its values and their cost."""
