"""Models behind HTTP: what OpenAI's and Anthropic's interfaces share, and each one's own.

`models.HostedModels` serves them, `catalog` says what workflows see of them, which is light to import.
"""
