"""A local worker process, whose stderr is its log, and which ends with the one who started it."""

import faulthandler
import logging
import os
import signal
import sys
import threading
import time


def _end_with(parent: int) -> None:
    """Wait until the parent has ended, in whatever way, and end this process: Beam's would wait forever.

    It may be gone already: a build can end while its workers start.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _serve(number: int) -> None:
    """Do the units that come by a connection until it is closed.

    The answer to each is (None, what the work returned) or (its error, None).
    """
    from multiprocessing.connection import Connection

    connection = Connection(number)
    do = connection.recv()
    while True:
        try:
            unit = connection.recv()
        except EOFError:
            return
        error = result = None
        try:
            result = do(unit)
        except Exception as raised:  # an error of the work stops the stage, not this process
            error = f"{type(raised).__name__}: {raised}"
        connection.send((error, result))


if __name__ == "__main__":
    # All before the imports of the work, which take seconds; Beam's warns of absent Google packages.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver answers it
    faulthandler.enable()  # where a library crashes, the log says in which line
    parent, *connection = map(int, sys.argv[1:])
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    logging.disable(
        logging.CRITICAL
    )  # a unit notes its own error for the driver; Beam would write it as well

    if connection:
        _serve(*connection)
    else:
        from apache_beam.runners.worker import sdk_worker_main

        sdk_worker_main.main(sys.argv)
