# shellcheck shell=bash
# The Glue API by moto, in memory: schemas are gone after a restart. It checks signatures once its first calls, which
# make the user, are used up: nothing else may call it before, not even a health check.

GLUE_FREE_CALLS=3

glue_prepare() {
    component glue >/dev/null
    mkdir -p "$STACK_DIR/glue"
}

glue_spawn() {
    local home
    home=$(component glue)
    INITIAL_NO_AUTH_ACTION_COUNT=$GLUE_FREE_CALLS spawn glue "$home/bin/python" "$home/bin/moto_server" -H 127.0.0.1 -p "$(port GLUE)"
}

glue_ready() { answers "$(port GLUE)"; }

# Once for each start of the process; the keys are kept for stack/env.
glue_init() {
    local file=$STACK_DIR/glue/credentials keys
    [ "$(cat "$file.of" 2>/dev/null)" != "$(cat "$(pid_file glue)")" ] || return 0
    keys=$(sh "$STACK_SOURCE/conf/setup-glue.sh" "http://$(glue_address)") || return 1
    (umask 077 && echo "$keys" >"$file")
    cp "$(pid_file glue)" "$file.of"
}

glue_address() { echo "127.0.0.1:$(port GLUE)"; }
glue_version() { echo "$MOTO_VERSION"; }

glue_env() {
    local key='' secret=''
    { read -r key secret <"$STACK_DIR/glue/credentials"; } 2>/dev/null || true
    give TICKLAKE_STACK_GLUE_URL "http://$(glue_address)"
    give TICKLAKE_STACK_GLUE_ACCESS_KEY "$key"
    give TICKLAKE_STACK_GLUE_SECRET_KEY "$secret"
    give AWS_REGION "$GLUE_REGION"
    give AWS_ACCESS_KEY_ID "$key"
    give AWS_SECRET_ACCESS_KEY "$secret"
    if [ "$STACK_REGISTRY" = glue ]; then
        give TICKLAKE_REGISTRY__KIND glue
        give TICKLAKE_REGISTRY__URL "http://$(glue_address)"
        give TICKLAKE_REGISTRY__REGION "$GLUE_REGION"
    fi
}
