"""Values as bytes and digests, and the secrets that are kept out of them. No I/O."""
