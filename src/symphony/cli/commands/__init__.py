"""One module per command; each holds `command`, the click command or group of its name."""
