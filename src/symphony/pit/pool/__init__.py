"""pit/pool."""
