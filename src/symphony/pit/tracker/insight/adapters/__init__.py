"""The tracker's bridges to outside systems, one module each."""
