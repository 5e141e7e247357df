"""The process that has MLflow loaded and forks wherever MLflow is needed."""
