"""What every command says and how it ends: results, notes, error blocks, exit statuses."""
