#!/bin/sh
# Makes the bucket of model files where it is missing.
set -eu
export MC_HOST_house="http://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@minio:9000"
mc mb --ignore-existing "house/$BUCKET"
