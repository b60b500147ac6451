"""The decisions of the arbiter: no input or output, the time and the seed are arguments."""
