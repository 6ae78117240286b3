# shellcheck shell=bash
# Apicurio, which answers as Confluent's schema registry; subjects survive a restart in a file.

registry_prepare() {
    component registry >/dev/null
    mkdir -p "$STACK_DIR/registry"
}

# H2 would write what it acknowledged up to half a second later.
registry_spawn() {
    local home flags setting settings=()
    home=$(component registry)
    mapfile -t flags < <(java_flags registry "$REGISTRY_HEAP" "$home/registry" | tr ' ' '\n')
    while read -r setting; do
        [[ $setting == [A-Z]* ]] && settings+=("$setting")
    done <"$STACK_SOURCE/conf/registry.env"
    spawn registry env "${settings[@]}" java "${flags[@]}" -Dquarkus.http.host=127.0.0.1 "-Dquarkus.http.port=$(port REGISTRY)" \
        "-Dapicurio.datasource.url=jdbc:h2:file:$STACK_DIR/registry/db;WRITE_DELAY=0" \
        -jar "$home/apicurio-registry-app-$APICURIO_VERSION-runner.jar"
}

registry_ready() { curl -fs -m 5 -o /dev/null "$(registry_url)/subjects"; }

registry_init() { sh "$STACK_SOURCE/conf/setup-registry.sh" "$(registry_url)"; }

registry_url() { echo "http://127.0.0.1:$(port REGISTRY)/apis/ccompat/v7"; }
registry_address() { echo "127.0.0.1:$(port REGISTRY)"; }
registry_version() { echo "$APICURIO_VERSION"; }

registry_env() {
    give TICKLAKE_STACK_REGISTRY_URL "$(registry_url)"
    if [ "$STACK_REGISTRY" = confluent ]; then
        give TICKLAKE_REGISTRY__KIND confluent
        give TICKLAKE_REGISTRY__URL "$(registry_url)"
    fi
}
