# shellcheck shell=bash
# The Glue API by moto, in memory: schemas are gone after a restart. It checks signatures once its first calls, which
# make the user, are used up: nothing else may call it before, not even a health check.

GLUE_FREE_CALLS=3
GLUE_REGION=us-east-1

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

# glue_iam ACTION NAME=VALUE...: one of the free calls
glue_iam() {
    local arguments=(-d "Action=$1" -d Version=2010-05-08) pair
    shift
    for pair in "$@"; do arguments+=(--data-urlencode "$pair"); done
    curl -fs -m 20 -H "Authorization: AWS4-HMAC-SHA256 Credential=none/20200101/$GLUE_REGION/iam/aws4_request, SignedHeaders=host, Signature=none" \
        "${arguments[@]}" "http://$(glue_address)/"
}

glue_tag() { sed -n "s,.*<$1>\(.*\)</$1>.*,\1,p"; }

# The seed gives each start the same keys, so that clients live through a restart; another seed after it, so that new
# schemas do not get the ids that others had before.
glue_init() {
    local file=$STACK_DIR/glue/credentials answer policy
    [ "$(cat "$file.pid" 2>/dev/null)" != "$(cat "$(pid_file glue)")" ] || return 0
    policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    curl -fs -m 20 -o /dev/null -X POST "http://$(glue_address)/moto-api/seed?a=1"
    glue_iam CreateUser UserName=ticklake >/dev/null
    answer=$(glue_iam CreateAccessKey UserName=ticklake)
    glue_iam PutUserPolicy UserName=ticklake PolicyName=all "PolicyDocument=$policy" >/dev/null
    curl -fs -m 20 -o /dev/null -X POST "http://$(glue_address)/moto-api/seed?a=$(date +%s%N)"
    (umask 077 && echo "$(glue_tag AccessKeyId <<<"$answer") $(glue_tag SecretAccessKey <<<"$answer")" >"$file")
    cp "$(pid_file glue)" "$file.pid"
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
