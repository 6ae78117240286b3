# shellcheck shell=bash
# What every verb needs: folders, ports, the parts and what they need.

# shellcheck source=stack/lib/paths.sh
. "$(dirname "${BASH_SOURCE[0]}")/paths.sh"
# shellcheck source=stack/lib/process.sh
. "$STACK_SOURCE/lib/process.sh"

readonly EX_USAGE=64 EX_UNAVAILABLE=69
PROJECT=$(dirname "$STACK_SOURCE")
STACK_BASE=${TICKLAKE_STACK_PORT_BASE:-$PORT_BASE}
# In the order of starting; stopped the other way round: brokers can only leave in order while ZooKeeper stands.
PARTS=(postgres zookeeper glue s3 kafka registry spark airflow rest)
# Not started by a stack/up without names: an alternative to what the others do.
# shellcheck disable=SC2034
OPTIONAL_PARTS=(rest)

say() { echo "stack: $*" >&2; }
die() {
    local status=$1
    shift
    say "$*"
    exit "$status"
}

[[ $STACK_BASE =~ ^[0-9]+$ ]] && [ "$STACK_BASE" -ge 1024 ] && [ "$STACK_BASE" -le 64000 ] ||
    die "$EX_USAGE" "TICKLAKE_STACK_PORT_BASE: expected a number of 1024 to 64000, got \"$STACK_BASE\""

stack_folder() {
    local folder=.stack
    [ "$STACK_BASE" = "$PORT_BASE" ] || folder=.stack-$STACK_BASE
    realpath -m "${TICKLAKE_STACK_DIR:-$PROJECT/$folder}"
}
STACK_DIR=$(stack_folder)

# port NAME [N]: the port in this stack
port() {
    local name=$1_PORT
    echo $((${!name} + STACK_BASE - PORT_BASE + ${2:-0}))
}

# component NAME: its folder, or the end
component() {
    local folder
    folder=$(component_folder "$1")
    [ -e "$folder/done" ] || die "$EX_UNAVAILABLE" "$1 is not installed ($folder): run scripts/setup stack"
    echo "$folder"
}

part_is_known() { case " ${PARTS[*]} " in *" $1 "*) ;; *) return 1 ;; esac; }

kafka_mode() { cat "$STACK_DIR/kafka.mode" 2>/dev/null || echo zookeeper; }

processes_of() {
    case $1 in
    kafka) echo kafka-1 kafka-2 kafka-3 ;;
    spark) echo spark-master spark-worker ;;
    airflow) echo airflow-api airflow-scheduler airflow-dags ;;
    *) echo "$1" ;;
    esac
}

needs_of() {
    case $1 in
    kafka) [ "$(kafka_mode)" = kraft ] || echo zookeeper ;;
    airflow) echo postgres ;;
    rest) echo s3 ;;
    esac
}

deadline_of() {
    local name=${1^^}_DEADLINE_S
    echo "${!name}"
}

# java_flags PROCESS HEAP ARCHIVE: small and quick to start. Serial collector and C1 halve the start; an archive of
# loaded classes takes another quarter. The first process to run without one writes it when it is stopped in order.
java_flags() {
    local archive
    archive=$3-$(stat -L -c %Y "$(command -v java)").jsa
    echo "-Xms$2 -Xmx$2 -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
    if [ -e "$archive" ]; then
        echo "-XX:SharedArchiveFile=$archive"
    elif [ -w "$(dirname "$archive")" ] && [[ $1 != *-[23] ]]; then
        mkdir -p "$STACK_DIR/run"
        echo "$archive" >"$STACK_DIR/run/$1.archive"
        rm -f "$STACK_DIR/run/$1.jsa"
        echo "-XX:ArchiveClassesAtExit=$STACK_DIR/run/$1.jsa"
    fi
}

# keep_archive PROCESS: after it has ended: a whole archive gets its name in one step
keep_archive() {
    local new=$STACK_DIR/run/$1.jsa archive
    [ -s "$new" ] && archive=$(cat "$STACK_DIR/run/$1.archive") || return 0
    mv "$new" "$archive.$$" && mv "$archive.$$" "$archive"
    rm -f "$STACK_DIR/run/$1.archive"
}

for part in "${PARTS[@]}"; do
    # shellcheck source=/dev/null
    . "$STACK_SOURCE/lib/$part.sh"
done
unset part
