"""Google's Dataflow: what is set for it, what is refused before a job is submitted, how a job is followed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from corpus import interrupt
from corpus.errors import ConfigError, Signal
from corpus.teller import Teller

NAME = "DataflowRunner"
_CARRIERS = ("sdk_container_image", "setup_file", "extra_package")
_STAGING = ("staging_location", "temp_location")


class GraphOnly(Signal):
    """A dry run or a template made the graph of a job and ran nothing; the message is for the user."""


def given(flags: Sequence[str]) -> set[str]:
    """Return the names of options on a command line."""
    return {flag.removeprefix("--").partition("=")[0] for flag in flags if flag.startswith("--")}


def check(key: str, flags: Sequence[str]) -> None:
    """Raise ConfigError where a job could not be staged, or its workers would not have this package."""
    names = given(flags)
    if names.isdisjoint(_CARRIERS):
        raise ConfigError(
            f"{key}{NAME}: its workers do not have derlem; give them an image that has it, "
            "--sdk_container_image=IMAGE (infra/docker), or the package itself, --setup_file=FILE or "
            "--extra_package=FILE"
        )
    if names.isdisjoint(_STAGING):
        raise ConfigError(f"{key}{NAME}: its jobs need a place; name one, --temp_location=gs://BUCKET/tmp")


def options_of(flags: Sequence[str], step: str, fingerprint: str) -> list[str]:
    """Return the flags of one job: the user's, and those that the user did not set.

    A job is named by the step and the fingerprint of its work, so that a driver that is started again finds
    the one that still runs. One thread: a process works on one unit at a time, whose memory is known.
    """
    names = given(flags)
    name = re.sub("[^a-z0-9-]", "-", f"derlem-{step}-{fingerprint}".lower())
    own = {
        "job_name": [f"--job_name={name}"],
        "number_of_worker_harness_threads": ["--number_of_worker_harness_threads=1"],
    }
    labels = [f"--labels=derlem-step={step}", f"--labels=derlem-fingerprint={fingerprint}"]
    return [*flags, *labels, *(flag for key, each in own.items() if key not in names for flag in each)]


def run(pipeline: Any, runner: Any, options: Any, teller: Teller) -> None:
    """Run a pipeline to its end by Beam's Dataflow runner `runner`.

    Joins the job of this name where one is running. Raises GraphOnly where the options ask for the graph
    alone. Ctrl-C cancels the job.
    """
    from apache_beam.options.pipeline_options import GoogleCloudOptions, TestOptions
    from apache_beam.runners.dataflow.dataflow_runner import DataflowPipelineResult
    from apache_beam.runners.dataflow.internal.apiclient import DataflowJobAlreadyExistsError

    cloud = options.view_as(GoogleCloudOptions)
    try:
        result = pipeline.run()
    except DataflowJobAlreadyExistsError as error:
        found = re.search(r"with id: (\S+?)\.? ", f"{error} ")
        if found is None:
            raise
        teller.say(f"the job {cloud.job_name} runs already: waiting for it")
        result = DataflowPipelineResult(runner.dataflow_client.get_job(found[1]), runner, options)
    if options.view_as(TestOptions).dry_run or cloud.template_location:
        size = runner.proto_pipeline.ByteSize()
        where = f", staged at {cloud.template_location}" if cloud.template_location else ""
        raise GraphOnly(
            f"{cloud.job_name}: a graph of {size:,} bytes (Dataflow takes 10,000,000){where}; nothing was "
            "run, and the stages after this one are planned from what it writes"
        )
    job = result.job_id()
    teller.say(
        f"{cloud.job_name}: https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{job}"
        f"?project={cloud.project}"
    )
    with _cancelled_on_leaving(options, job):
        result.wait_until_finish()


@contextmanager
def _cancelled_on_leaving(options: Any, job: str) -> Iterator[None]:
    """Cancel a job where the process is ended while the block runs."""
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient

    def cancel() -> str:
        cloud = options.view_as(GoogleCloudOptions)
        by_hand = f"gcloud dataflow jobs cancel {job} --region={cloud.region} --project={cloud.project}"
        try:  # by a client of its own: that of the interrupted thread may be in the middle of a request
            if DataflowApplicationClient(options).modify_job_state(job, "JOB_STATE_CANCELLED"):
                return f"the job {job} is cancelled"
            cause = "the service refused"
        except Exception as error:  # whatever the client raises: the process is about to end
            cause = f"{type(error).__name__}: {error}"
        return f"the job {job} RUNS ON and is billed, it could not be cancelled ({cause}): {by_hand}"

    with interrupt.before_leaving(cancel):
        yield
