"""Foundations of the artifact store: digests and labels, system errors, SQLite files that may be damaged."""
