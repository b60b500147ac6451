"""Pure: queries, the words and fields of artifacts, and how good an artifact is."""
