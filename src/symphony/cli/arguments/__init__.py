"""The arguments of commands: options, inputs, budgets, files, templates; and their completions."""
