"""What every part may use: errors, logging, settings, safe files, rules, `duck`. Knows no other part."""
