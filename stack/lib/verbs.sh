# shellcheck shell=bash
# The verbs: up, down, start, stop, kill, freeze, thaw, logs, env.

# shellcheck source=stack/lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# One at a time changes the stack; what it starts does not hold the lock.
lock() {
    mkdir -p "$STACK_DIR/run" "$STACK_DIR/log"
    exec 9>"$STACK_DIR/lock"
    flock -w 600 9 || die "$EX_UNAVAILABLE" "$STACK_DIR is in use for ten minutes: is another stack/up waiting?"
}

check_part() { part_is_known "$1" || die "$EX_USAGE" "no part \"$1\": expected ${PARTS[*]}"; }

# order PART...: those and what they need, in the order of starting
order() {
    local part wanted=" $* " need again=1
    while [ $again -eq 1 ]; do
        again=0
        for part in $wanted; do
            for need in $(needs_of "$part"); do
                case $wanted in *" $need "*) ;; *) wanted+="$need " again=1 ;; esac
            done
        done
    done
    for part in "${PARTS[@]}"; do
        case $wanted in *" $part "*) echo "$part" ;; esac
    done
}

# part_of PROCESS
part_of() { case $1 in *-*) echo "${1%%-*}" ;; *) echo "$1" ;; esac; }

# chosen PART [N]: its processes, or the Nth, which may also be called by the end of its name
chosen() {
    local all n=${2:-}
    check_part "$1"
    read -ra all <<<"$(processes_of "$1")"
    if [ -z "$n" ]; then printf '%s\n' "${all[@]}"; return; fi
    case " ${all[*]} " in *" $1-$n "*) echo "$1-$n"; return ;; esac
    [[ $n =~ ^[1-9]$ ]] && [ "$n" -le ${#all[@]} ] || die "$EX_USAGE" "$1 has no \"$n\": expected 1 to ${#all[@]}"
    echo "${all[n - 1]}"
}

declare -A launched # by this call

# launch PART PROCESS...: those that do not run
launch() {
    local part=$1 process missing=()
    shift
    for process in "$@"; do pid_of "$process" >/dev/null || missing+=("$process"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    "${part}_prepare"
    for process in "${missing[@]}"; do "${part}_spawn" "$process"; done
    launched[$part]=yes
}

show_failure() {
    say "$1: $2; the end of $(log_file "$1"):"
    tail -25 "$(log_file "$1")" >&2
    exit "$EX_UNAVAILABLE"
}

# await PART PROCESS...: until they are ready, but not past the part's deadline
await() {
    local part=$1 process deadline end after="ran already" ms
    shift
    deadline=$(deadline_of "$part")
    end=$((SECONDS + deadline))
    for process in "$@"; do
        until "${part}_ready" "$process" 2>/dev/null; do
            if ! pid_of "$process" >/dev/null; then
                if [ $SECONDS -ge $end ] || ! declare -F "${part}_again" >/dev/null || ! "${part}_again" "$process"; then
                    show_failure "$process" "has ended"
                fi
                "${part}_spawn" "$process"
            fi
            [ $SECONDS -lt $end ] || show_failure "$process" "not ready within $deadline s"
            sleep 0.1
        done
        pid_of "$process" >/dev/null || show_failure "$process" "has ended, and something else answers at its address"
    done
    if declare -F "${part}_init" >/dev/null; then
        "${part}_init" || show_failure "$process" "is up, but its first set-up failed"
    fi
    if [ -n "${launched[$part]:-}" ]; then
        ms=$(age_ms "$process")
        after="after $((ms / 1000)).$(printf %03d $((ms % 1000))) s"
    fi
    say "$part $("${part}_version") is ready at $("${part}_address") ($after)"
}

# choose_mode MODE-OR-NOTHING: of Kafka; brokers that run keep theirs
choose_mode() {
    local process now
    now=$(kafka_mode)
    for process in $(processes_of kafka); do
        pid_of "$process" >/dev/null || continue
        [ -z "$1" ] || [ "$1" = "$now" ] || die "$EX_USAGE" "kafka runs in mode $now: stack/down kafka first"
        return 0
    done
    echo "${1:-zookeeper}" >"$STACK_DIR/kafka.mode"
}

stack_up() {
    local mode='' wanted=() part parts everything=''
    while [ $# -gt 0 ]; do
        case $1 in
        --kraft) mode=kraft ;;
        -*) die "$EX_USAGE" "no option \"$1\": expected --kraft" ;;
        *) check_part "$1"; wanted+=("$1") ;;
        esac
        shift
    done
    lock
    if [ ${#wanted[@]} -eq 0 ]; then
        everything=yes
        for part in "${PARTS[@]}"; do
            case " ${OPTIONAL_PARTS[*]} " in *" $part "*) ;; *) wanted+=("$part") ;; esac
        done
    fi
    case " ${wanted[*]} " in *" kafka "*) choose_mode "$mode" ;; esac
    [ "$(kafka_mode)" != kraft ] || [ -z "$everything" ] || wanted=("${wanted[@]/zookeeper/}")
    mapfile -t parts < <(order "${wanted[@]}")
    # What others wait for goes first; then all at once.
    for part in "${parts[@]}"; do
        case $part in postgres | zookeeper) launch "$part" "$part" ;; esac
    done
    for part in "${parts[@]}"; do
        case $part in postgres | zookeeper) await "$part" "$part" ;; esac
    done
    # shellcheck disable=SC2046
    for part in "${parts[@]}"; do launch "$part" $(processes_of "$part"); done
    # shellcheck disable=SC2046
    for part in "${parts[@]}"; do
        case $part in postgres | zookeeper) ;; *) await "$part" $(processes_of "$part") ;; esac
    done
}

# INT is PostgreSQL's fast stop: TERM would wait for its clients.
stop_signal() { if [ "$1" = postgres ]; then echo INT; else echo TERM; fi; }

# halt PROCESS...: all of them at the same time
halt() {
    local process pids=() pid
    for process in "$@"; do
        terminate "$process" "$(stop_signal "$process")" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    for process in "$@"; do keep_archive "$process"; done
}

# KRaft nodes that are stopped together wait for a quorum that is gone: one first, which still hands over, then the rest.
halt_kafka() {
    if [ "$(kafka_mode)" = kraft ]; then
        halt kafka-1
        STOP_DEADLINE_S=8 halt kafka-2 kafka-3
    else
        halt kafka-1 kafka-2 kafka-3
    fi
}

# halt_part PART
# shellcheck disable=SC2046
halt_part() { if [ "$1" = kafka ]; then halt_kafka; else halt $(processes_of "$1"); fi; }

# Data stay, unless --remove is given.
stack_down() {
    local remove='' asked='' part i pids=() parts=()
    while [ $# -gt 0 ]; do
        case $1 in
        --remove) remove=1 ;;
        -*) die "$EX_USAGE" "no option \"$1\": expected --remove" ;;
        *) check_part "$1"; asked+=" $1" ;;
        esac
        shift
    done
    [ -d "$STACK_DIR" ] || return 0
    lock
    # Of ZooKeeper and brokers each remembers the other's cluster: one without the other is none.
    case $remove:$asked in 1:*kafka* | 1:*zookeeper*) asked+=" kafka zookeeper" ;; esac
    for part in "${PARTS[@]}"; do
        case ${asked:-$part} in *"$part"*) parts+=("$part") ;; esac
    done
    for part in "${parts[@]}"; do
        case $part in postgres | zookeeper) ;; *) halt_part "$part" & pids+=($!) ;; esac
    done
    for i in "${pids[@]}"; do wait "$i"; done
    for part in "${parts[@]}"; do
        case $part in postgres | zookeeper) halt_part "$part" ;; esac
    done
    [ -n "$remove" ] || return 0
    for part in "${parts[@]}"; do remove_data "$part"; done
    [ -n "$asked" ] || rm -rf "$STACK_DIR"
}

remove_data() {
    case $1 in
    postgres) postgres_remove && rm -f "$STACK_DIR"/airflow/migrated-* ;;
    kafka) rm -rf "$STACK_DIR"/kafka-zookeeper "$STACK_DIR"/kafka-kraft ;;
    *) rm -rf "${STACK_DIR:?}/$1" ;;
    esac
}

stack_start() {
    local processes
    processes=$(chosen "$@") || exit
    lock
    # shellcheck disable=SC2086
    launch "$1" $processes
    # shellcheck disable=SC2086
    await "$1" $processes
}

stack_stop() {
    local processes
    processes=$(chosen "$@") || exit
    lock
    # shellcheck disable=SC2086
    if [ $# -eq 1 ]; then halt_part "$1"; else halt $processes; fi
}

# Without a word and with all that descends from it, as when the machine is lost.
stack_kill() {
    local processes process members
    processes=$(chosen "$@") || exit
    for process in $processes; do
        mapfile -t members < <(family "$process")
        send KILL "${members[@]}"
        gone 10 "${members[@]}" || die "$EX_UNAVAILABLE" "$process does not die: ${members[*]}"
    done
}

# signal_all SIGNAL PART [N]
signal_all() {
    local signal=$1 processes process members
    shift
    processes=$(chosen "$@") || exit
    for process in $processes; do
        mapfile -t members < <(family "$process")
        [ ${#members[@]} -gt 0 ] || die "$EX_UNAVAILABLE" "$process does not run"
        send "$signal" "${members[@]}"
    done
}
stack_freeze() { signal_all STOP "$@"; }
stack_thaw() { signal_all CONT "$@"; }

stack_logs() {
    local follow='' names=() processes process files=()
    for process in "$@"; do
        case $process in -f) follow=-F ;; *) names+=("$process") ;; esac
    done
    [ ${#names[@]} -gt 0 ] || die "$EX_USAGE" "usage: stack/logs PART [N] [-f]"
    processes=$(chosen "${names[@]}") || exit
    for process in $processes; do files+=("$(log_file "$process")"); done
    exec tail -n 200 $follow -- "${files[@]}"
}

give() { printf 'export %s=%q\n' "$1" "$2"; }

# --glue: the Glue API as the registry, instead of the Confluent one
# shellcheck disable=SC2034 # registry.sh and glue.sh look at STACK_REGISTRY
stack_env() {
    local part
    STACK_REGISTRY=confluent
    case ${1:-} in
    '') ;;
    --glue) STACK_REGISTRY=glue ;;
    *) die "$EX_USAGE" "no option \"$1\": expected --glue" ;;
    esac
    give TICKLAKE_STACK_DIR "$STACK_DIR"
    give TICKLAKE_STACK_PORT_BASE "$STACK_BASE"
    for part in "${PARTS[@]}"; do "${part}_env"; done
}
