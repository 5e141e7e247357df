"""`python -I -S path`: keeps one command; standard input is the connection that asks for it.

See `_mlflow_check_supervisor.supervise`.
"""

import socket

from _mlflow_check_supervisor.supervise import keep_command  # type: ignore[import-not-found]

keep_command(socket.socket(fileno=0))
