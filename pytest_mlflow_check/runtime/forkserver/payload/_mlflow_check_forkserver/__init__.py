# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library and MLflow.
"""The fork server: it has MLflow loaded, and becomes, in a fork for each request, what was asked for.

Only the standard library and MLflow, nothing of ours: it runs beside the user's code.
"""
