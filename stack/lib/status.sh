# shellcheck shell=bash
# stack/status: each part by what it answers, not by what was started.

# shellcheck source=stack/lib/verbs.sh
. "$(dirname "${BASH_SOURCE[0]}")/verbs.sh"

# state_of PART PROCESS: ready, half (runs but does not answer), frozen or down
state_of() {
    if ! pid_of "$2" >/dev/null; then echo down
    elif is_frozen "$2"; then echo frozen
    elif "$1_ready" "$2" 2>/dev/null; then echo ready
    else echo half; fi
}

address_of() { if declare -F "$1_address_of" >/dev/null; then "$1_address_of" "$2"; else "$1_address"; fi; }

# survey PART: one line: state, resident KiB, own KiB, then PROCESS=STATE=PID=ADDRESS of each
survey() {
    local process state all=() members=() some=() memory whole=ready
    for process in $(processes_of "$1"); do
        state=$(state_of "$1" "$process")
        all+=("$process=$state=$(pid_of "$process" || echo 0)=$(address_of "$1" "$process")")
        some+=("$state")
        mapfile -t -O ${#members[@]} members < <(family "$process")
    done
    case " ${some[*]} " in
    *" ready "*) case " ${some[*]} " in *" half "* | *" down "* | *" frozen "*) whole=half ;; esac ;;
    *" half "* | *" frozen "*) whole=half ;;
    *) whole=down ;;
    esac
    memory=$(memory_of "${members[@]}")
    echo "$whole $memory ${all[*]}"
}

print_row() { printf '%-10s %-6s %-8s %-18s %9s %9s  %s\n' "$@"; }

print_table() {
    local part state rss pss rest total=0 total_pss=0 process pids bad
    print_row PART STATE VERSION ADDRESS 'RSS MiB' 'PSS MiB' PIDS
    for part in "${PARTS[@]}"; do
        read -r state rss pss rest <<<"${found[$part]}"
        total=$((total + rss)) total_pss=$((total_pss + pss)) pids='' bad=''
        for process in $rest; do
            IFS='=' read -r name condition pid _ <<<"$process"
            [ "$pid" = 0 ] || pids+=" $pid"
            [ "$condition" = "$state" ] || bad+=" $name:$condition"
        done
        print_row "$part" "$state" "$("${part}_version")" "$("${part}_address" | cut -d , -f 1)" $((rss / 1024)) $((pss / 1024)) "${pids# }$bad"
    done
    print_row total '' '' '' $((total / 1024)) $((total_pss / 1024)) ''
}

print_json() {
    local part state rss pss rest total=0 total_pss=0 process comma='' inner
    echo "{\"dir\": \"$STACK_DIR\", \"port_base\": $STACK_BASE, \"kafka_mode\": \"$(kafka_mode)\", \"parts\": {"
    for part in "${PARTS[@]}"; do
        read -r state rss pss rest <<<"${found[$part]}"
        total=$((total + rss)) total_pss=$((total_pss + pss))
        printf '%s"%s": {"state": "%s", "version": "%s", "address": "%s", "rss_kb": %d, "pss_kb": %d, "processes": [' \
            "$comma" "$part" "$state" "$("${part}_version")" "$("${part}_address")" "$rss" "$pss"
        comma=$',\n' inner=''
        for process in $rest; do
            IFS='=' read -r name condition pid address <<<"$process"
            printf '%s{"name": "%s", "state": "%s", "pid": %s, "address": "%s"}' "$inner" "$name" "$condition" "$pid" "$address"
            inner=', '
        done
        printf ']}'
    done
    printf '\n}, "rss_kb": %d, "pss_kb": %d}\n' "$total" "$total_pss"
}

stack_status() {
    local json='' part name condition pid address
    declare -A found
    case ${1:-} in
    '') ;;
    --json) json=1 ;;
    *) die "$EX_USAGE" "no option \"$1\": expected --json" ;;
    esac
    for part in "${PARTS[@]}"; do found[$part]=$(survey "$part"); done
    if [ -n "$json" ]; then print_json; else print_table; fi
}
