"""A local worker process: Beam's own, whose stderr is its log, and which ends with the one who started it."""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time


def _end_with(parent: int) -> None:
    """Wait until the parent is gone, however it went, and end this process: Beam's would wait forever.

    It may be gone already: a build can end while its workers start.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    # All before Beam's import, which takes seconds and warns of absent Google packages.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver answers it
    faulthandler.enable()  # where a library crashes, the log says in which line
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    logging.disable(
        logging.CRITICAL
    )  # a unit notes its own error for the driver; Beam would write it as well

    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
