"""The command line, one module for each command in `commands`. It prints, it never decides."""
