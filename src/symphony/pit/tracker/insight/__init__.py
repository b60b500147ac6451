"""Views of runs, made from their journals alone."""
