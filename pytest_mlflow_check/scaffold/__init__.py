"""First files for a project: an MLproject and the settings, made of what its scripts say."""
