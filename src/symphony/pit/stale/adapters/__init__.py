"""Formats of data sets that need a library of their own."""
