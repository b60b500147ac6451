"""The cache of results, which may forget, and the digests of files that results depend on."""
