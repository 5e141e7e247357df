"""What notes the logging calls of a launch, and what reads the notes."""
