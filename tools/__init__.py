"""Tools of the build and of the test suite; not installed."""
