# shellcheck shell=bash
# Airflow: API server, scheduler with local workers, DAG processor. Its DAGs call the same `ticklake` against this stack.

airflow_dags() {
    local folder=${TICKLAKE_STACK_DAGS:-$PROJECT/airflow/dags}
    mkdir -p "$folder"
    echo "$folder"
}

airflow_secret() {
    local file=$STACK_DIR/airflow/secret
    [ -s "$file" ] || (umask 077 && head -c 48 /dev/urandom | base64 -w 0 >"$file")
    cat "$file"
}

# airflow_settings: what airflow and its tasks get in their environment
airflow_settings() {
    local home=$STACK_DIR/airflow base secret
    base=http://127.0.0.1:$(port AIRFLOW)
    secret=$(airflow_secret)
    set -a
    # shellcheck source=stack/conf/airflow.env
    . "$STACK_SOURCE/conf/airflow.env"
    eval "$(stack_env)"
    set +a
    export AIRFLOW_HOME="$home" PATH TICKLAKE_SPARK_JOBS="$PROJECT/spark"
    export AIRFLOW__CORE__DAGS_FOLDER AIRFLOW__DATABASE__SQL_ALCHEMY_CONN
    AIRFLOW__CORE__DAGS_FOLDER=$(airflow_dags)
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=postgresql+psycopg2://airflow:$AIRFLOW_DATABASE_PASSWORD@$(postgres_address)/airflow
    export AIRFLOW__CORE__EXECUTION_API_SERVER_URL="$base/execution/"
    export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE="$home/passwords.json"
    export AIRFLOW__CORE__FERNET_KEY=
    export AIRFLOW__API__HOST=127.0.0.1 AIRFLOW__API__PORT="${base##*:}" AIRFLOW__API__BASE_URL="$base"
    export AIRFLOW__API__SECRET_KEY="$secret" AIRFLOW__API_AUTH__JWT_SECRET="$secret"
    PATH=$(dirname "${TICKLAKE:-$PROJECT/build/ticklake}"):$PATH
}

airflow_prepare() {
    local home marker=$STACK_DIR/airflow/migrated-$AIRFLOW_VERSION
    home=$(component airflow)
    mkdir -p "$STACK_DIR/airflow"
    (umask 077 && echo "{\"admin\": \"$AIRFLOW_ADMIN_PASSWORD\", \"reader\": \"$AIRFLOW_READER_PASSWORD\"}" >"$STACK_DIR/airflow/passwords.json")
    [ ! -e "$marker" ] || return 0
    (airflow_settings && exec "$home/bin/airflow" db migrate) >"$STACK_DIR/log/airflow-migrate.log" 2>&1 9>&- ||
        { tail -15 "$STACK_DIR/log/airflow-migrate.log" >&2; die "$EX_UNAVAILABLE" "airflow db migrate failed"; }
    touch "$marker"
}

airflow_spawn() {
    local home command
    home=$(component airflow)
    case $1 in
    airflow-api) command=(api-server) ;;
    # Its log server would listen on every address.
    airflow-scheduler) command=(scheduler --skip-serve-logs) ;;
    airflow-dags) command=(dag-processor) ;;
    esac
    # In a shell of its own, for the settings; what writes the pid file is the same.
    (airflow_settings && spawn "$1" "$home/bin/python" "$home/bin/airflow" "${command[@]}")
}

# Health is the last sign of life in the database, which may be another process's of before: it must be of this one.
airflow_ready() {
    local page name sign
    page=$(curl -fs -m 5 "http://127.0.0.1:$(port AIRFLOW)/api/v2/monitor/health") || return 1
    case $1 in
    airflow-api) return 0 ;;
    airflow-scheduler) name=scheduler ;;
    airflow-dags) name=dag_processor ;;
    esac
    grep -qE "\"$name\" *: *\{[^}]*\"status\" *: *\"healthy\"" <<<"$page" || return 1
    sign=$(sed -nE "s/.*\"latest_${name}_heartbeat\" *: *\"([^\"]*)\".*/\1/p" <<<"$page")
    [ "$(date -d "$sign" +%s)" -gt "$(started_at "$1")" ]
}

airflow_address() { echo "127.0.0.1:$(port AIRFLOW)"; }
airflow_version() { echo "$AIRFLOW_VERSION"; }

airflow_env() {
    give TICKLAKE_STACK_AIRFLOW_URL "http://$(airflow_address)"
    give TICKLAKE_STACK_AIRFLOW_USER admin
    give TICKLAKE_STACK_AIRFLOW_PASSWORD "$AIRFLOW_ADMIN_PASSWORD"
}
