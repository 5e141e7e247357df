"""The fix of every rule, applied as text to a project that deserves it: `python tests/fixes/run.py`."""
