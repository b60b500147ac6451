"""The files of a run (its journal, lock, logs and requests) and how long they are kept."""
