# shellcheck shell=bash
# Processes of the stack: detached, each with a log and a file that names it by pid and start time (a pid alone may be
# another's by now). One started process and all that descend from it belong together.

# The folders are $STACK_DIR/run (pid files) and $STACK_DIR/log.
pid_file() { echo "$STACK_DIR/run/$1.pid"; }
log_file() { echo "$STACK_DIR/log/$1.log"; }

# stat_of PID: state, parent, ..., without the name, in which anything may stand
stat_of() {
    local line
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
    echo "${line##*) }"
}

# spawn PROCESS COMMAND...: detached; the pid is that of COMMAND, never of a shell
spawn() {
    local process=$1 log fields pid
    shift
    log=$(log_file "$process")
    mkdir -p "$STACK_DIR/run" "$STACK_DIR/log"
    [ ! -e "$log" ] || mv "$log" "$log.old"
    TICKLAKE_STACK_PROCESS="$STACK_DIR:$process" setsid "$@" </dev/null >"$log" 2>&1 9>&- &
    pid=$!
    read -ra fields < <(stat_of "$pid") || true
    echo "$pid ${fields[19]:-0}" >"$(pid_file "$process")"
}

# pid_of PROCESS: its pid if it runs
pid_of() {
    local pid start fields
    { read -r pid start <"$(pid_file "$1")"; } 2>/dev/null || return 1
    read -ra fields < <(stat_of "$pid") || return 1
    [ "${fields[19]}" = "$start" ] && [ "${fields[0]}" != Z ] && echo "$pid"
}

# started_at PROCESS: seconds since 1970
started_at() {
    local pid start boot
    { read -r pid start <"$(pid_file "$1")"; } 2>/dev/null || return 1
    boot=$(awk '/^btime/ { print $2 }' /proc/stat)
    echo $((boot + start / $(getconf CLK_TCK)))
}

# age_ms PROCESS
age_ms() {
    local pid start up
    { read -r pid start <"$(pid_file "$1")"; } 2>/dev/null || return 1
    read -r up _ </proc/uptime
    echo $((10#${up/./} * 10 - start * 1000 / $(getconf CLK_TCK)))
}

is_frozen() {
    local pid fields
    pid=$(pid_of "$1") && read -ra fields < <(stat_of "$pid") && [ "${fields[0]}" = T ]
}

# family PROCESS: the pids of it and of its descendants, it first
family() {
    local pid
    pid=$(pid_of "$1") || return 0
    ps -e -o pid=,ppid=,stat= | awk -v top="$pid" '
        $3 !~ /^Z/ { parent[$1] = $2; order[++n] = $1 }
        END {
            print top; in_it[top] = 1
            for (again = 1; again;) {
                again = 0
                for (i = 1; i <= n; i++) if (!(order[i] in in_it) && (parent[order[i]] in in_it)) {
                    in_it[order[i]] = 1; print order[i]; again = 1
                }
            }
        }'
}

# strays PROCESS: what lost its parent, told by its environment
strays() {
    local file
    grep -lzsFx -- "TICKLAKE_STACK_PROCESS=$STACK_DIR:$1" /proc/[0-9]*/environ 2>/dev/null | while read -r file; do
        file=${file#/proc/}
        echo "${file%/environ}"
    done
}

# send SIGNAL PID...: to those that are left
send() {
    local signal=$1
    shift
    [ $# -eq 0 ] || kill "-$signal" "$@" 2>/dev/null || true
}

# gone SECONDS PID...: waits until none of them is there
gone() {
    local end=$((SECONDS + $1)) pid fields left
    shift
    while :; do
        left=0
        for pid in "$@"; do
            read -ra fields < <(stat_of "$pid") && [ "${fields[0]}" != Z ] && left=1 && break
        done
        [ $left -eq 1 ] || return 0
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# terminate PROCESS SIGNAL: asks, waits, and kills what is left after the deadline
terminate() {
    local pid members
    pid=$(pid_of "$1") || pid=
    if [ -n "$pid" ]; then
        mapfile -t members < <(family "$1")
        send CONT "${members[@]}"
        send "$2" "$pid"
        if ! gone "$STOP_DEADLINE_S" "$pid"; then say "$1 did not stop within $STOP_DEADLINE_S s; killed"; fi
        gone 3 "${members[@]}" || send KILL "${members[@]}"
    fi
    mapfile -t members < <(strays "$1")
    send KILL "${members[@]}"
    gone 5 "${members[@]}" || say "$1: ${members[*]} cannot be killed"
    rm -f "$(pid_file "$1")"
}

# memory_of PID...: resident KiB in all, and the share of it that is theirs alone (shared pages split)
memory_of() {
    local pid rss=0 pss=0 value
    for pid in "$@"; do
        value=$(awk '/^VmRSS/ { print $2 }' "/proc/$pid/status" 2>/dev/null) || true
        rss=$((rss + ${value:-0}))
        value=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null) || true
        pss=$((pss + ${value:-0}))
    done
    echo "$rss $pss"
}

# answers PORT: something listens there
answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
