"""pit/artifacts."""
