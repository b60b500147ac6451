"""The asyncio shell around the machine: it performs commands and records events."""
