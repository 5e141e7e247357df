"""From settings to cases to launches to results, without pytest."""
