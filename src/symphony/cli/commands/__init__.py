"""One module for each command; `command` in it is the click command or group of its name.

`steering` has those commands of `symphony runs` that change a run.
"""
