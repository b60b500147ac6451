"""What is typed on a command line: options, inputs, budgets, files, templates; and its completions."""
