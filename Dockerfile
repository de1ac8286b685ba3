# One image for every service of docker-compose.yml: the processes, the command line, the simulator (docs/containers.md).
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM $BASE_IMAGE AS build
# Where packages come from; pip has its own default. It stays in the history of this stage: no passwords in it.
ARG PIP_INDEX_URL
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python3 -m venv tools && python3 -m venv --without-pip /venv
COPY requirements.lock requirements-build.lock ./
RUN tools/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock \
    && tools/bin/pip --python /venv/bin/python install --require-hashes --only-binary :all: -r requirements.lock
# The compiled kernel (docs/operations.md) needs a compiler, which this image has not: --build-arg COMPILER="gcc libc6-dev"
ARG COMPILER
RUN if [ -n "$COMPILER" ]; then apt-get update && apt-get install -y --no-install-recommends $COMPILER; fi
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY binance_streamer binance_streamer
COPY services services
COPY simulator simulator
RUN tools/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir wheels . \
    && tools/bin/pip --python /venv/bin/python install --no-deps --no-index wheels/*.whl

FROM $BASE_IMAGE
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
# Volumes that are empty take owner and modes from here; sockets and locks want 0700.
RUN install -d -o 10001 -g 10001 -m 0750 /app/data /app/var /app/var/journal /app/var/log /app/demo \
    && install -d -o 10001 -g 10001 -m 0700 /app/var/run
COPY --from=build /venv /venv
WORKDIR /app
USER 10001:10001
CMD ["binance-streamer", "--help"]
