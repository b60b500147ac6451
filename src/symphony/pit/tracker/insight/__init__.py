"""What is seen of runs, made from their journals alone."""
