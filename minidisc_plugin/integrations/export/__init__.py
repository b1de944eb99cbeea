"""Models for other runtimes: one class for each pair of a format and the host that writes it."""
