"""The DAG tracker: runs workflows, durably. `core` decides, the rest acts."""
