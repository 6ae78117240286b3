-- Roles and databases of the stack, made once. Passwords come from the environment, so that they are in no process list.
-- ticklake may make databases: tests and trials have one each.
\set ON_ERROR_STOP on
\set password `echo "${POSTGRES_PASSWORD:?}"`
\set airflow_password `echo "${AIRFLOW_DATABASE_PASSWORD:?}"`
create role ticklake login replication createdb password :'password';
create database ticklake owner ticklake;
create role airflow login password :'airflow_password';
create database airflow owner airflow;
