"""What starts a worker in a container, without Beam's Go program; artifacts are not fetched."""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor
from google.protobuf import json_format, text_format

NAMES = ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint")


def main() -> None:
    """Ask what to run with, and become the worker."""
    parser = argparse.ArgumentParser()
    for name in NAMES:
        parser.add_argument(f"--{name}")
    given, _ = parser.parse_known_args()
    channel = grpc.intercept_channel(
        grpc.insecure_channel(given.provision_endpoint), WorkerIdInterceptor(given.id)
    )
    service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
    info = service.GetProvisionInfo(beam_provision_api_pb2.GetProvisionInfoRequest()).info

    def descriptor(url: str) -> str:
        return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))

    os.environ |= {
        "WORKER_ID": given.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": descriptor(info.logging_endpoint.url or given.logging_endpoint),
        "CONTROL_API_SERVICE_DESCRIPTOR": descriptor(info.control_endpoint.url or given.control_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    worker = [sys.executable, "-P", "-m", "apache_beam.runners.worker.sdk_worker_main"]
    os.execv(sys.executable, worker)


if __name__ == "__main__":
    main()
