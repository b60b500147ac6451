"""Reads operators from the text of a Python file: their names, ports and effects. Nothing in it is run.

`values` evaluates the expressions that declarations are made of, and returns `UNKNOWN` for all others;
`records` turns classes into types; `module` goes through the statements of a file; `files` reads the
files that a workflow names.
"""
