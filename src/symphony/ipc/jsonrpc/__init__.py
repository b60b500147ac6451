"""JSON-RPC 2.0 between two peers, over any stream of bytes."""
