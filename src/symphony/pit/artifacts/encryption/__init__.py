"""Encryption of what a store holds: its key, what opens the key, and the cipher."""
