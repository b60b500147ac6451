"""Arbitration: who gets what is scarce on this machine, when, and why.

`core` decides, pure. The modules beside it take requests in, keep the time and tell others.
"""
