"""The process that runs one launch and ends it, with everything it started."""
