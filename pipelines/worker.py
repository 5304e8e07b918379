"""A local worker process: Beam's own, silent but for errors."""

import logging
import sys

logging.disable(logging.WARNING)  # before the import, which warns of absent Google packages

from apache_beam.runners.worker import sdk_worker_main  # noqa: E402

if __name__ == "__main__":
    sdk_worker_main.main(sys.argv)
