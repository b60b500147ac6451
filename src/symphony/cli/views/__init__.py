"""What is shown of runs and of what is stored, as text and as JSON."""
