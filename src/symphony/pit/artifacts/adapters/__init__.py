"""Adapters of the artifact store to outside systems."""
