"""What every shelf stands on: digests and labels, errors of the system, SQLite files that may be damaged."""
