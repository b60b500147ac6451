"""What the pool decides: which models are loaded, who gets one, what is loaded ahead. Pure."""
