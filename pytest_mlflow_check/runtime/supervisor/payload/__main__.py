"""`python -I -S payload`: keeps one command; standard input is the connection that asks for it.

See `_mlflow_check_supervisor.supervise`.
"""

import socket

from _mlflow_check_supervisor.supervise import supervise_command  # type: ignore[import-not-found]

supervise_command(socket.socket(fileno=0))
