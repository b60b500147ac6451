"""Pure: facts, rules and the time in, verdicts out."""
