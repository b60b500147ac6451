"""For the tests of those who build on Symphony."""
