"""Pure: how payloads are encrypted, and how the key of a store is wrapped."""
