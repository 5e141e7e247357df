# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library only.
"""What stands between pytest and a launch: it sees to it that the launch ends, and all that it started.

Only the standard library, nothing of ours: a fork of it becomes the user's process.
"""
