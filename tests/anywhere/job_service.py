"""Beam's own job service with two workers, as a program: prints its port."""

from __future__ import annotations

import sys
import threading

from anywhere import service
from apache_beam.runners.portability import local_job_service

if __name__ == "__main__":
    service.with_workers(service.WORKERS)
    server = local_job_service.LocalJobServicer(sys.argv[1])
    print(server.start_grpc_server(0), flush=True)
    threading.Event().wait()
