"""Pack files: bodies, chunks and manifests in append-only files, and the index made of these."""
