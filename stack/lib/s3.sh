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

# The hash of an empty body; older curl does not add the header by itself.
S3_EMPTY=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# s3_call METHOD PATH: the status of a signed request
s3_call() {
    curl -s -m 10 -o /dev/null -w '%{http_code}' -X "$1" -H "x-amz-content-sha256: $S3_EMPTY" --aws-sigv4 "aws:amz:$S3_REGION:s3" -K - "http://$(s3_address)$2" \
        <<<"user = \"$S3_ACCESS_KEY:$S3_SECRET_KEY\""
}

s3_ready() { [ "$(s3_call GET /)" = 200 ]; }

s3_init() {
    local status
    status=$(s3_call PUT "/$S3_BUCKET")
    case $status in 200 | 409) ;; *) say "s3: bucket $S3_BUCKET: status $status"; return 1 ;; esac
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
