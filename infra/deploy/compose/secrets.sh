#!/bin/sh
# Prints a line for each secret that the compose files want and `.env` does not have yet:
#     sh infra/deploy/compose/secrets.sh >> .env
# The values are hexadecimal: they stand in URLs as they are.
set -eu
umask 077
for name in POSTGRES_ADMIN_PASSWORD POSTGRES_APP_PASSWORD TEMPORAL_POSTGRES_PASSWORD VALKEY_PASSWORD \
    AITHER_QDRANT_API_KEY AITHER_MODELS_S3_SECRET_KEY AITHER_BURST_MASTER_KEY GRAFANA_ADMIN_PASSWORD; do
    grep -q "^$name=." .env 2>/dev/null && continue
    printf '%s=%s\n' "$name" "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
done
