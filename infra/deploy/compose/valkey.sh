#!/bin/sh
# Starts Valkey with its password in a file: among the arguments, everybody on the machine could read it.
set -eu
umask 077
cat > /tmp/valkey.conf <<CONF
bind * -::*
port 6379
requirepass $VALKEY_PASSWORD
dir /data
maxmemory 512mb
# Every stream has a time to live: those nearest to their end go first.
maxmemory-policy volatile-ttl
# A killed server loses nothing with this, a power cut a second.
appendonly yes
appendfsync everysec
save ""
CONF
exec "${VALKEY_SERVER:-valkey-server}" /tmp/valkey.conf
