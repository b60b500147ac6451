"""commons."""
