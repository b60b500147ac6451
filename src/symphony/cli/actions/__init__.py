"""What the larger commands do: drive a run, listen to a bus, look at this machine, try a model."""
