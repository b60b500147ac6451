"""The command line: one module per command. It prints, it never decides."""
