#!/bin/sh
# Runs once, on a fresh cluster, as its superuser: the role that the API and the workers connect as. Row-level
# security binds it. The tables are the migrations' work.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password POSTGRES_APP_PASSWORD
set password_encryption = 'scram-sha-256';
create role aither_app login nosuperuser nocreatedb nocreaterole nobypassrls password :'password';
select format('revoke all on database %I from public; grant connect on database %I to aither_app',
              current_database(), current_database()) \gexec
revoke create on schema public from public;
SQL
