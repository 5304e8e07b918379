"""A local worker process: Beam's own, silent but for its end, and ended with the one who started it."""

import logging
import os
import signal
import sys
import threading
import time


def _end_with(parent: int) -> None:
    """Wait until the parent is gone, however it went, and end this process: Beam's would wait for ever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    # All before Beam's import, which takes seconds and warns of absent Google packages.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver answers it
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # A unit notes its own error for the driver; Beam would print its trace as well.
    logging.disable(logging.CRITICAL)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115

    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
