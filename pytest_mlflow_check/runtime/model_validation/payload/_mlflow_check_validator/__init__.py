# Runs in a process of its own: Python 3.9 or later (that of the launch), standard library and MLflow.
"""Registers models, loads them back, and predicts: runs as a process of its own, as another machine would.

It runs with the interpreter of the launch, where nothing of ours may be installed: the standard library,
MLflow and what MLflow brings along are all it imports.
"""
