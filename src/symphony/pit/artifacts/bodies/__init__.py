"""Bodies by their digest, as files; and the names of files that they become."""
