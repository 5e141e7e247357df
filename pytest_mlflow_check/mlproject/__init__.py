"""MLproject files, their parameters and their command lines."""
