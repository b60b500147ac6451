"""What a rerun takes over from another run, what runs again, and why. Loaded by reruns alone."""
