"""The decisions of the pool: which models are loaded, who gets one, what is loaded ahead. Pure."""
