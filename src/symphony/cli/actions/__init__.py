"""The work of the larger commands: drive a run, listen to a bus, check this machine, try a model."""
