# shellcheck shell=bash
# Three brokers: Kafka 3.9 on ZooKeeper, or Kafka 4 as its own controllers (--kraft). Each mode has a folder of its own.

KAFKA_CLUSTER_ID=dGlja2xha2Utc3RhY2stMQ

kafka_is_kraft() { [ "$(kafka_mode)" = kraft ]; }
kafka_home() { if kafka_is_kraft; then component kafka-kraft; else component kafka; fi; }
kafka_folder() { echo "$STACK_DIR/kafka-$(kafka_mode)/$1"; }

kafka_voters() {
    local n list=()
    for n in 1 2 3; do list+=("$n@127.0.0.1:$(port KAFKA_CONTROLLER $n)"); done
    (IFS=, && echo "${list[*]}")
}

# kafka_own N: the lines of one broker
kafka_own() {
    local mine
    mine=PLAINTEXT://127.0.0.1:$(port KAFKA "$1")
    echo "log.dirs=$(kafka_folder "$1")/data"
    echo "advertised.listeners=$mine"
    if kafka_is_kraft; then
        echo "node.id=$1"
        echo "listeners=$mine,CONTROLLER://127.0.0.1:$(port KAFKA_CONTROLLER "$1")"
        echo "controller.quorum.voters=$(kafka_voters)"
    else
        echo "broker.id=$1"
        echo "listeners=$mine"
        echo "zookeeper.connect=127.0.0.1:$(port ZOOKEEPER)"
    fi
}

kafka_format() {
    local home=$1 folder=$2 log
    log=$STACK_DIR/log/kafka-format-${folder##*/}.log
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$home/lib/*" kafka.tools.StorageTool format -t "$KAFKA_CLUSTER_ID" \
        -c "$folder/server.properties" >"$log" 2>&1 || { tail -5 "$log" >&2; return 1; }
}

kafka_prepare() {
    local n folder home pids=() pid
    home=$(kafka_home)
    for n in 1 2 3; do
        folder=$(kafka_folder $n)
        mkdir -p "$folder"
        { cat "$STACK_SOURCE/conf/broker.properties" "$STACK_SOURCE/conf/broker-$(kafka_mode).properties" && kafka_own $n; } >"$folder/server.properties"
        if kafka_is_kraft && [ ! -e "$folder/data/meta.properties" ]; then
            kafka_format "$home" "$folder" 9>&- &
            pids+=($!)
        fi
    done
    for pid in "${pids[@]}"; do wait "$pid" || die "$EX_UNAVAILABLE" "the folders of Kafka cannot be formatted"; done
}

kafka_spawn() {
    local home flags log4j
    home=$(kafka_home)
    log4j="-Dlog4j.configuration=file:$STACK_SOURCE/conf/log4j.properties"
    kafka_is_kraft && log4j="-Dlog4j2.configurationFile=$STACK_SOURCE/conf/log4j2.properties"
    mapfile -t flags < <(java_flags "$1" "$KAFKA_HEAP" "$home/broker" | tr ' ' '\n')
    spawn "$1" java "${flags[@]}" "$log4j" -cp "$home/lib/*" kafka.Kafka "$(kafka_folder "${1#kafka-}")/server.properties"
}

# The port is open long before the broker takes work.
kafka_ready() {
    grep -q -e "\[KafkaServer id=${1#kafka-}\] started" -e "Kafka Server started" "$(log_file "$1")" && answers "$(port KAFKA "${1#kafka-}")"
}

# A broker that was killed is still registered in ZooKeeper until its session has run out, and one of the same number ends at once.
kafka_again() { grep -q 'NodeExistsException' "$(log_file "$1")"; }

kafka_address_of() { echo "127.0.0.1:$(port KAFKA "${1#kafka-}")"; }
kafka_address() { echo "$(kafka_address_of 1),$(kafka_address_of 2),$(kafka_address_of 3)"; }
kafka_version() { if kafka_is_kraft; then echo "$KAFKA_KRAFT_VERSION"; else echo "$KAFKA_VERSION"; fi; }

kafka_env() {
    give TICKLAKE_STACK_KAFKA "$(kafka_address)"
    give TICKLAKE_BUS__BROKERS "$(kafka_address)"
}
