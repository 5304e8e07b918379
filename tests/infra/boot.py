#!/opt/derlem/bin/python
"""Start a worker as the program of Beam's images does, but fetch no artifacts."""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from apache_beam.portability.api import beam_provision_api_pb2 as provision
from apache_beam.portability.api import beam_provision_api_pb2_grpc as provision_grpc
from apache_beam.portability.api import endpoints_pb2
from apache_beam.runners.worker.worker_id_interceptor import WorkerIdInterceptor
from google.protobuf import json_format, text_format

NAMES = ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint", "control_endpoint")


def main() -> None:
    """Ask the runner for its options, and become Beam's Python worker."""
    parser = argparse.ArgumentParser()
    for name in NAMES:
        parser.add_argument(f"--{name}", default="")
    given, _ = parser.parse_known_args()
    channel = grpc.intercept_channel(
        grpc.insecure_channel(given.provision_endpoint), WorkerIdInterceptor(given.id)
    )
    service = provision_grpc.ProvisionServiceStub(channel)
    info = service.GetProvisionInfo(provision.GetProvisionInfoRequest()).info
    os.environ["WORKER_ID"] = given.id
    os.environ["PIPELINE_OPTIONS"] = json_format.MessageToJson(info.pipeline_options)
    os.environ["RUNNER_CAPABILITIES"] = " ".join(info.runner_capabilities)
    logging = info.logging_endpoint.url or given.logging_endpoint
    control = info.control_endpoint.url or given.control_endpoint
    os.environ["LOGGING_API_SERVICE_DESCRIPTOR"] = described(logging)
    os.environ["CONTROL_API_SERVICE_DESCRIPTOR"] = described(control)
    os.execv(sys.executable, [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"])


def described(url: str) -> str:
    """Return an endpoint as the worker reads it from its environment."""
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))


if __name__ == "__main__":
    main()
