"""The artifact store: bodies and their metadata as one, in a home and in memory."""
