# Runs in a process of its own: Python 3.10 or later (that of pytest), standard library only.
"""`python -I -S payload`: supervises one command; standard input is the connection that asks for it.

See `_mlflow_check_supervisor.supervise`.
"""

import socket

from _mlflow_check_supervisor.supervise import supervise_command  # type: ignore[import-not-found]

supervise_command(socket.socket(fileno=0))
