"""Scripts as their text tells of them: they are read, never imported or run."""
