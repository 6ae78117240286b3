# shellcheck shell=bash
# versitygw: S3 on plain files, with real signatures and conditional writes.

s3_prepare() {
    component s3 >/dev/null
    mkdir -p "$STACK_DIR/s3/data"
}

# Its attributes of an object lie in extended attributes where the file system has them, else in files beside.
s3_attributes() {
    local probe=$STACK_DIR/s3/probe
    touch "$probe"
    if ! python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.probe", b"1")' "$probe" 2>/dev/null; then
        mkdir -p "$STACK_DIR/s3/sidecar"
        printf '%s\n' --sidecar "$STACK_DIR/s3/sidecar"
    fi
    rm -f "$probe"
}

s3_spawn() {
    local attributes
    mapfile -t attributes < <(s3_attributes)
    # The keys go by the environment, not by the command line.
    ROOT_ACCESS_KEY=$S3_ACCESS_KEY ROOT_SECRET_KEY=$S3_SECRET_KEY spawn s3 "$(component s3)/bin/versitygw" \
        --port "127.0.0.1:$(port S3)" --region "$S3_REGION" --quiet posix "${attributes[@]}" "$STACK_DIR/s3/data"
}

# It answers a request without keys with 403: that is enough.
s3_ready() { [ "$(curl -s -m 5 -o /dev/null -w '%{http_code}' "http://$(s3_address)/")" = 403 ]; }

s3_init() {
    S3_ACCESS_KEY=$S3_ACCESS_KEY S3_SECRET_KEY=$S3_SECRET_KEY S3_REGION=$S3_REGION S3_BUCKET=$S3_BUCKET \
        sh "$STACK_SOURCE/conf/setup-s3.sh" "http://$(s3_address)"
}

s3_address() { echo "127.0.0.1:$(port S3)"; }
s3_version() { echo "$VERSITYGW_VERSION"; }

s3_env() {
    give TICKLAKE_STACK_S3_URL "http://$(s3_address)"
    give TICKLAKE_STACK_S3_BUCKET "$S3_BUCKET"
    give TICKLAKE_LAKE__WAREHOUSE "s3://$S3_BUCKET/warehouse"
    give TICKLAKE_S3__ENDPOINT "http://$(s3_address)"
    give TICKLAKE_S3__REGION "$S3_REGION"
    give TICKLAKE_S3__ACCESS_KEY "$S3_ACCESS_KEY"
    give TICKLAKE_S3__SECRET_KEY "$S3_SECRET_KEY"
}
