# shellcheck shell=bash
# Kafka Connect, Debezium's connector for PostgreSQL and an Avro converter, for the bench against them; sourced by scripts/setup.
# From there: CACHE, MAVEN_COPY, say, die, hash_of.

connect_folder() { echo "$CACHE/connect-$(cat bench/connect/*.xml bench/connect/checksums.txt | hash_of)"; }

# connect_jars NAME FOLDER: what bench/connect/NAME.xml depends on
connect_jars() {
    mkdir -p "$2/pom-$1"
    cp "bench/connect/$1.xml" "$2/pom-$1/pom.xml"
    (cd "$2/pom-$1" && mvn -q -B -ntp "${MAVEN_COPY%:copy}:copy-dependencies" -DincludeScope=runtime "-DoutputDirectory=$2/fetch/$1" </dev/null)
}

fetch_connect() {
    local folder work
    folder=$(connect_folder)
    work=$folder.new
    say "missing: Kafka Connect with Debezium, for the bench; fetching them"
    rm -rf "$work"
    mkdir -p "$work/fetch"
    {
        connect_jars connect "$work"
        connect_jars avro "$work"
        mvn -q -B -ntp "$MAVEN_COPY" "-DoutputDirectory=$work/fetch/debezium" \
            -Dartifact=io.debezium:debezium-connector-postgres:3.3.1.Final:tar.gz:plugin </dev/null
    } >"$CACHE/connect.log" 2>&1 || { tail -20 "$CACHE/connect.log" >&2; die "cannot fetch Kafka Connect"; }
    grep -v '^#' bench/connect/checksums.txt | (cd "$work/fetch" && sha256sum --check --quiet --strict) ||
        die "Kafka Connect: other bytes than those pinned in bench/connect/checksums.txt"
    [ "$(find "$work/fetch" -type f | wc -l)" -eq "$(grep -vc '^#' bench/connect/checksums.txt)" ] ||
        die "Kafka Connect: Maven brought more files than bench/connect/checksums.txt has"
    mkdir -p "$work/plugins/debezium"
    tar -xzf "$work"/fetch/debezium/*.tar.gz -C "$work/plugins/debezium" --strip-components=1
    mv "$work/fetch/avro" "$work/plugins/avro"
    mv "$work/fetch/connect" "$work/worker"
    rm -rf "$work/fetch" "$work"/pom-* "$folder"
    mv "$work" "$folder"
}
