"""Shows runs and what is stored, as text and as JSON."""
