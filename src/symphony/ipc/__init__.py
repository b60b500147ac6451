"""How Symphony's processes talk to each other."""
