"""Full-text search of artifacts, and their quality."""
