"""Operators as the text of a Python file tells them: their names, ports and effects. Nothing of it is run.

`values` evaluates the expressions that declarations are made of, and gives `UNKNOWN` for all others;
`records` makes types of classes; `module` goes through the statements of a file; `files` reads the
files that a workflow names.
"""
