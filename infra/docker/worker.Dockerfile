# The workers of a build: Beam's harness with derlem, and the file systems of gs:// and s3://; no torch, no compiler.
#
# Make the wheels where Python and processor are those of the base image, then the image, from the repository's root:
#   pip wheel --wheel-dir wheels -c constraints.txt . gcsfs s3fs
#   docker build -f infra/docker/worker.Dockerfile -t WORKER .
# The driver of a Dataflow job needs Google's client libraries too (250 MB, which no worker imports):
#   pip wheel --wheel-dir wheels -c constraints.txt '.[gcp]' s3fs
#   docker build -f infra/docker/worker.Dockerfile --build-arg EXTRAS='[gcp]' -t DRIVER .
#
# Name the bases with their digests, NAME:TAG@sha256:…, for an image that is the same when it is built again.
#checkov:skip=CKV_DOCKER_2:a worker that hangs is known by whoever runs it
#checkov:skip=CKV_DOCKER_7:the tags are in the arguments
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm
ARG BEAM=docker.io/apache/beam_python3.11_sdk:2.77.0

FROM ${BEAM} AS beam
FROM ${PYTHON}
ARG EXTRAS=
# 0, root, where the launcher of a service needs it.
ARG USER=10001
# Kernels are compiled for any processor of the architecture: those of one job's workers may differ.
ENV PATH=/opt/derlem/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/opt/numba \
    NUMBA_CPU_NAME=generic \
    GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false \
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
COPY --from=beam /opt/apache/beam /opt/apache/beam
RUN --mount=type=bind,source=wheels,target=/wheels \
    python -m venv /opt/derlem \
    && /opt/derlem/bin/pip install --no-cache-dir --no-index --find-links /wheels "derlem${EXTRAS}" gcsfs s3fs
# A small build proves the installation, and compiles the kernels that each worker would otherwise compile.
WORKDIR /tmp/warm
RUN --mount=type=bind,source=examples,target=/examples \
    python /examples/pack.py crawl/site.warc.gz \
    && derlem init \
    && derlem build corpus.toml --workers 1 \
    && rm -r /tmp/warm \
    && chmod -R a+rwX /opt/numba
WORKDIR /tmp
USER ${USER}
ENTRYPOINT ["/opt/apache/beam/boot"]
