"""Registering, loading and predicting with logged models, in processes of their own."""
