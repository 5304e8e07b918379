# The trainer: derlem with torch, and the file systems of gs:// and s3://, for a GPU machine, a cluster, or torchrun.
#
# Make the wheels where Python and processor are those of the base image, then the image, from the repository's root:
#   pip wheel --wheel-dir wheels -c constraints.txt '.[train]' gcsfs s3fs
#   docker build -f infra/docker/trainer.Dockerfile -t TRAINER .
# torch's wheels for GPUs carry the libraries of CUDA, so that the base needs none; the driver is the machine's.
# `pip wheel` takes the torch of another CUDA from the index that it is given with --extra-index-url.
#checkov:skip=CKV_DOCKER_2:a run that hangs stops writing metrics.jsonl; there is no service to ask
#checkov:skip=CKV_DOCKER_7:the tags are in the arguments
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON}
# The CUDA that torch must be built for, such as 12.8: `any` takes each, `none` the build for processors.
ARG CUDA=any
ARG USER=10001
ENV PATH=/opt/derlem/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false
# torch compiles kernels while it trains, with the system's C compiler.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,source=wheels,target=/wheels \
    python -m venv /opt/derlem \
    && /opt/derlem/bin/pip install --no-cache-dir --no-index --find-links /wheels 'derlem[train]' gcsfs s3fs
# An image with a torch that knows no GPU would train there, on the processor, and be billed as a GPU.
RUN CUDA=${CUDA} python -c "import os, torch; asked, has = os.environ['CUDA'], torch.version.cuda or 'none'; \
    assert asked == has or asked == 'any' and has != 'none', f'torch is built for CUDA {has}, asked for {asked}'"
WORKDIR /tmp
USER ${USER}
CMD ["derlem", "--help"]
