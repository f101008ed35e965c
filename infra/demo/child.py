"""`rheostat up` that ends when its standard input closes.

The demo holds the other end open, so the stack stops when the demo is gone, however it went.
"""

import os
import signal
import threading

from infra import cli


def _stop_at_end_of_input() -> None:
    # Not through sys.stdin: its lock, held by a thread, breaks the interpreter's end.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_stop_at_end_of_input, name="lifeline", daemon=True).start()
    cli.main()
