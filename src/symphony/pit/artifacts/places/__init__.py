"""Places for files that never change: their addresses, and a directory as such a place."""
