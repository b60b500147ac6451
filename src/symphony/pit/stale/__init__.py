"""What leaves a home, and when: artifacts by rules and through a trash, runs and cached results by limits."""
