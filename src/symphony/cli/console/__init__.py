"""The output and the end of every command: results, notes, error blocks, exit statuses."""
