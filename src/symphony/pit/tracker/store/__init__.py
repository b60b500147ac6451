"""What a run leaves behind: its journal, lock, logs and requests, and how long they are kept."""
