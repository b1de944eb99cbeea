"""A config, read from a file."""
