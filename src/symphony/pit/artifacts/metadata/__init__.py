"""The metadata of the stored bodies: a log, which is authoritative, and an index made from it."""
