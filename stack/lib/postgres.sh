# shellcheck shell=bash
# PostgreSQL. It refuses to be run by root: then it and its folder belong to the user postgres.

postgres_runs_as_other() { [ "$(id -u)" -eq 0 ]; }

# as_postgres COMMAND...: as the owner of the server
as_postgres() {
    if postgres_runs_as_other; then
        setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"
    else
        "$@"
    fi
}

# Its folder is $STACK_DIR/postgres, or where that points to.
postgres_home() { readlink "$STACK_DIR/postgres" || echo "$STACK_DIR/postgres"; }

# In /tmp, if the user postgres cannot get to $STACK_DIR or the path is too long for a socket (107 bytes).
postgres_place() {
    local home=$STACK_DIR/postgres
    [ ! -L "$home" ] && [ ! -d "$home" ] || return 0
    if [ ${#home} -le 80 ] && { ! postgres_runs_as_other || as_postgres test -x "$STACK_DIR"; }; then return; fi
    ln -s "/tmp/ticklake-stack-$(id -u)-$(sha256sum <<<"$STACK_DIR" | cut -c 1-12)" "$home"
}

postgres_psql() {
    as_postgres env PGOPTIONS='-c client_min_messages=warning' psql -X -q -v ON_ERROR_STOP=1 -h "$1/socket" -p "$(port POSTGRES)" -U postgres "${@:2}"
}

# A killed server whose parent never asks for its end (a container without init) stays a zombie, which PostgreSQL takes
# for a server that runs. Only then its locks are taken away: all of the server's processes are gone before.
postgres_unlock() {
    local lock pid fields
    for lock in "$1/data/postmaster.pid" "$1/socket/.s.PGSQL.$(port POSTGRES).lock"; do
        { read -r pid <"$lock"; } 2>/dev/null || continue
        read -ra fields < <(stat_of "$pid") || continue
        [ "${fields[0]}" != Z ] || rm -f "$lock"
    done
}

postgres_prepare() {
    local home bin
    bin=$(postgres_bin) || die "$EX_UNAVAILABLE" "PostgreSQL $POSTGRES_VERSION or newer is not installed: run scripts/setup stack"
    mkdir -p "$STACK_DIR"
    postgres_place
    home=$(postgres_home)
    if [ ! -d "$home/socket" ]; then
        mkdir -p "$home"
        [ -O "$home" ] || die "$EX_UNAVAILABLE" "$home belongs to somebody else: choose another TICKLAKE_STACK_DIR"
        ! postgres_runs_as_other || chown postgres:postgres "$home"
        as_postgres mkdir -m 700 -p "$home/socket"
    fi
    # Copied, because the user postgres may not be able to read the project.
    install -m 644 "$STACK_SOURCE/conf/postgresql.conf" "$STACK_SOURCE/conf/pg_hba.conf" "$home/"
    if [ ! -e "$home/data/PG_VERSION" ]; then
        rm -rf "$home/data.new"
        (cd "$home" && as_postgres "$bin/initdb" -U postgres -D "$home/data.new" --auth=trust --locale=C.UTF-8 --encoding=UTF8 --no-sync) \
            >"$STACK_DIR/log/initdb.log" 2>&1 || { tail -5 "$STACK_DIR/log/initdb.log" >&2; die "$EX_UNAVAILABLE" "initdb failed"; }
        mv "$home/data.new" "$home/data"
    fi
    postgres_unlock "$home"
}

postgres_spawn() {
    local home bin command
    bin=$(postgres_bin)
    home=$(postgres_home)
    command=("$bin/postgres" -D "$home/data" -p "$(port POSTGRES)" -c "config_file=$home/postgresql.conf"
        -c "hba_file=$home/pg_hba.conf" -c listen_addresses=127.0.0.1 -c "unix_socket_directories=$home/socket"
        -c unix_socket_permissions=0700)
    # Not by as_postgres: the pid must be the server's.
    if postgres_runs_as_other; then
        spawn postgres setpriv --reuid=postgres --regid=postgres --init-groups -- "${command[@]}"
    else
        spawn postgres "${command[@]}"
    fi
}

postgres_ready() { pg_isready -q -h 127.0.0.1 -p "$(port POSTGRES)" -t 2; }

postgres_init() {
    local home
    home=$(postgres_home)
    [ ! -e "$home/databases.made" ] || return 0
    POSTGRES_PASSWORD=$POSTGRES_PASSWORD AIRFLOW_DATABASE_PASSWORD=$AIRFLOW_DATABASE_PASSWORD \
        postgres_psql "$home" -d postgres <"$STACK_SOURCE/conf/databases.sql" || return 1
    touch "$home/databases.made"
}

postgres_address() { echo "127.0.0.1:$(port POSTGRES)"; }
postgres_version() { cat "$(postgres_home)/data/PG_VERSION" 2>/dev/null || echo "$POSTGRES_VERSION"; }

postgres_remove() {
    local home=$STACK_DIR/postgres
    if [ -L "$home" ]; then rm -rf "$(readlink "$home")"; fi
    rm -rf "$home"
}

postgres_env() {
    local at=$POSTGRES_USER:$POSTGRES_PASSWORD socket
    socket=$(postgres_home)/socket
    give TICKLAKE_STACK_POSTGRES "$(postgres_address)"
    give TICKLAKE_STACK_POSTGRES_SOCKET "$socket"
    give TICKLAKE_STACK_POSTGRES_URL "postgresql://$at@$(postgres_address)/$POSTGRES_DATABASE"
    give TICKLAKE_STACK_POSTGRES_SOCKET_URL "postgresql://$at@/$POSTGRES_DATABASE?host=${socket//\//%2F}&port=$(port POSTGRES)"
    give TICKLAKE_STORE__URL "postgresql://$at@$(postgres_address)/$POSTGRES_DATABASE"
    give TICKLAKE_LAKE__CATALOG "postgresql://$at@$(postgres_address)/$POSTGRES_DATABASE"
}
