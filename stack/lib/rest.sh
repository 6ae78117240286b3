# shellcheck shell=bash
# Iceberg's REST catalog, tables in the stack's S3, pointers in a file of SQLite; only started when it is named.

rest_prepare() {
    component rest >/dev/null
    mkdir -p "$STACK_DIR/rest"
}

# Keys and token go by the environment, not by the command line.
rest_spawn() {
    local home flags
    home=$(component rest)
    mapfile -t flags < <(java_flags rest "$REST_HEAP" "$home/rest" | tr ' ' '\n')
    REST_TOKEN=$REST_TOKEN AWS_ACCESS_KEY_ID=$S3_ACCESS_KEY AWS_SECRET_ACCESS_KEY=$S3_SECRET_KEY AWS_REGION=$S3_REGION \
        spawn rest java "${flags[@]}" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$home/classes:$home/lib/*" RestCatalog "$(port REST)" \
        "uri=jdbc:sqlite:$STACK_DIR/rest/catalog.db" jdbc.schema-version=V1 "warehouse=s3://$S3_BUCKET/rest" \
        io-impl=org.apache.iceberg.aws.s3.S3FileIO "s3.endpoint=http://$(s3_address)" s3.path-style-access=true
}

# It answers a request without a token with 401: that is enough.
rest_ready() { [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "http://$(rest_address)/v1/config")" = 401 ]; }

rest_address() { echo "127.0.0.1:$(port REST)"; }
rest_version() { echo "$REST_VERSION"; }

rest_env() {
    give TICKLAKE_STACK_REST_URL "http://$(rest_address)"
    give TICKLAKE_STACK_REST_TOKEN "$REST_TOKEN"
}
