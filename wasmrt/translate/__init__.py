"""Validates a component and flattens it into the linear list of what its instantiation does."""
