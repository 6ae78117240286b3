# shellcheck shell=bash
# One ZooKeeper, from the jars beside Kafka 3.9.

zookeeper_prepare() {
    component kafka >/dev/null
    mkdir -p "$STACK_DIR/zookeeper/data"
    {
        cat "$STACK_SOURCE/conf/zoo.cfg"
        echo "dataDir=$STACK_DIR/zookeeper/data"
        echo "clientPort=$(port ZOOKEEPER)"
        echo "clientPortAddress=127.0.0.1"
    } >"$STACK_DIR/zookeeper/zoo.cfg"
}

zookeeper_spawn() {
    local home flags
    home=$(component kafka)
    mapfile -t flags < <(java_flags zookeeper "$ZOOKEEPER_HEAP" "$home/zookeeper" | tr ' ' '\n')
    spawn zookeeper java "${flags[@]}" "-Dlog4j.configuration=file:$STACK_SOURCE/conf/log4j.properties" \
        -cp "$home/lib/*" org.apache.zookeeper.server.quorum.QuorumPeerMain "$STACK_DIR/zookeeper/zoo.cfg"
}

# `srvr` is the one command that is on by default.
zookeeper_ready() {
    local line
    { exec 3<>"/dev/tcp/127.0.0.1/$(port ZOOKEEPER)"; } 2>/dev/null || return 1
    echo srvr >&3
    read -r -t 2 line <&3 || line=
    exec 3>&-
    [[ $line == "Zookeeper version"* ]]
}

zookeeper_address() { echo "127.0.0.1:$(port ZOOKEEPER)"; }
zookeeper_version() { echo "$ZOOKEEPER_VERSION"; }
zookeeper_env() { give TICKLAKE_STACK_ZOOKEEPER "$(zookeeper_address)"; }
