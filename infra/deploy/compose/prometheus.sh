#!/bin/sh
# Starts Prometheus with the key for the API's figures in a file, where its configuration looks for it.
set -eu
umask 077
printf '%s' "$AITHER_METRICS_KEY" > /tmp/aither-key
exec /bin/prometheus --config.file=/etc/prometheus/aither/prometheus.yml --storage.tsdb.path=/prometheus \
    --storage.tsdb.retention.time=30d
