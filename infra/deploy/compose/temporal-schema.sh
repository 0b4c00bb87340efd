#!/bin/sh
# Makes Temporal's two databases where they are missing, and brings their schemas up to this version's. The tool
# reads SQL_HOST, SQL_PORT, SQL_USER, SQL_PASSWORD and SQL_PLUGIN from the environment.
set -eu
for database in temporal temporal_visibility; do
    case $database in
        temporal) schema=temporal ;;
        *) schema=visibility ;;
    esac
    # Each of the first two says so and changes nothing where it has been done before.
    temporal-sql-tool --db "$database" create-database
    temporal-sql-tool --db "$database" setup-schema --version 0.0
    temporal-sql-tool --db "$database" update-schema \
        --schema-dir "/etc/temporal/schema/postgresql/v12/$schema/versioned"
done
