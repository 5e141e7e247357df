"""`python -I -S path`: keeps one command; standard input is the connection that asks for it.

See `_mlflow_check_keeper.keeping`.
"""

import socket

from _mlflow_check_keeper.keeping import keep_command  # type: ignore[import-not-found]

keep_command(socket.socket(fileno=0))
