# shellcheck shell=bash
# A standalone Spark master and one worker, from the pip package of the test environment.

spark_python_path() { (eval "$("$PROJECT/scripts/setup" env)" && echo "$TICKLAKE_PYTHON"); }

spark_python() {
    local python
    python=$(spark_python_path)
    [ -x "$python" ] || die "$EX_UNAVAILABLE" "PySpark is not installed ($python): run scripts/setup stack"
    echo "$python"
}

spark_home() { echo "$(dirname "$(dirname "$1")")"/lib/python3*/site-packages/pyspark; }

# spark_defaults JARS: the shared settings and what belongs to this place
spark_defaults() {
    local catalog=spark.sql.catalog.ticklake s3a=spark.hadoop.fs.s3a
    cat "$STACK_SOURCE/conf/spark-defaults.conf"
    echo "spark.master spark://127.0.0.1:$(port SPARK_MASTER)"
    echo "spark.driver.host 127.0.0.1"
    echo "spark.driver.bindAddress 127.0.0.1"
    echo "spark.driver.extraClassPath $1/*"
    echo "spark.executor.extraClassPath $1/*"
    echo "$catalog.uri jdbc:postgresql://$(postgres_address)/$POSTGRES_DATABASE?currentSchema=ticklake,public"
    echo "$catalog.jdbc.user $POSTGRES_USER"
    echo "$catalog.jdbc.password $POSTGRES_PASSWORD"
    echo "$catalog.warehouse s3://$S3_BUCKET/warehouse"
    echo "$catalog.s3.endpoint http://$(s3_address)"
    echo "$catalog.s3.access-key-id $S3_ACCESS_KEY"
    echo "$catalog.s3.secret-access-key $S3_SECRET_KEY"
    echo "$catalog.client.region $S3_REGION"
    echo "$s3a.endpoint http://$(s3_address)"
    echo "$s3a.endpoint.region $S3_REGION"
    echo "$s3a.access.key $S3_ACCESS_KEY"
    echo "$s3a.secret.key $S3_SECRET_KEY"
}

spark_prepare() {
    local python home
    python=$(spark_python)
    home=$(spark_home "$python")
    mkdir -p "$STACK_DIR/spark/conf" "$STACK_DIR/spark/work" "$STACK_DIR/spark/local" "$(component spark)/no-conf"
    (umask 077 && spark_defaults "$(component spark)/lib" >"$STACK_DIR/spark/conf/spark-defaults.conf")
    printf '%s\n' "$python" "$home" >"$STACK_DIR/spark/python"
}

spark_spawn() {
    local python home flags settings
    { read -r python && read -r home; } <"$STACK_DIR/spark/python"
    # The archive is tied to the class path, so to the environment that holds Spark.
    flags=$(java_flags "$1" "$SPARK_DAEMON_HEAP" "$(component spark)/$1-$(sha256sum <<<"$home" | cut -c 1-8)")
    # The heap goes by SPARK_DAEMON_MEMORY. The REST server would be on port 6066 in every stack.
    flags="${flags#-Xms* -Xmx* } -Dspark.master.rest.enabled=false"
    # Master and worker have no settings; a folder on the class path that is not empty would spoil the archive.
    settings=(SPARK_HOME="$home" SPARK_CONF_DIR="$(component spark)/no-conf" SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_DIRS="$STACK_DIR/spark/local"
        SPARK_WORKER_DIR="$STACK_DIR/spark/work" PYSPARK_PYTHON="$python" SPARK_DAEMON_MEMORY="$SPARK_DAEMON_HEAP"
        SPARK_DAEMON_JAVA_OPTS="${flags//$'\n'/ }")
    case $1 in
    spark-master)
        spawn "$1" env "${settings[@]}" "$home/bin/spark-class" org.apache.spark.deploy.master.Master --host 127.0.0.1 \
            --port "$(port SPARK_MASTER)" --webui-port "$(port SPARK_MASTER_UI)"
        ;;
    spark-worker)
        spawn "$1" env "${settings[@]}" "$home/bin/spark-class" org.apache.spark.deploy.worker.Worker --host 127.0.0.1 \
            --port "$(port SPARK_WORKER)" --webui-port "$(port SPARK_WORKER_UI)" --cores "$SPARK_WORKER_CORES" \
            --memory "$SPARK_WORKER_MEMORY" "spark://127.0.0.1:$(port SPARK_MASTER)"
        ;;
    esac
}

spark_ready() {
    local page
    page=$(curl -fs -m 5 "http://127.0.0.1:$(port SPARK_MASTER_UI)/json/") || return 1
    case $1 in
    spark-master) grep -q '"status" *: *"ALIVE"' <<<"$page" ;;
    spark-worker) grep -q '"aliveworkers" *: *[1-9]' <<<"$page" ;;
    esac
}

spark_address() { echo "127.0.0.1:$(port SPARK_MASTER)"; }
spark_address_of() { if [ "$1" = spark-worker ]; then echo "127.0.0.1:$(port SPARK_WORKER)"; else spark_address; fi; }
spark_version() { echo "$SPARK_VERSION"; }

# With these, $SPARK_HOME/bin/spark-submit and pyspark run on this stack.
spark_env() {
    local python
    python=$(spark_python_path)
    give TICKLAKE_STACK_SPARK_URL "spark://$(spark_address)"
    give TICKLAKE_STACK_SPARK_UI "http://127.0.0.1:$(port SPARK_MASTER_UI)"
    give TICKLAKE_STACK_SPARK_JARS "$(component_folder spark)/lib"
    give SPARK_CONF_DIR "$STACK_DIR/spark/conf"
    give SPARK_LOCAL_IP 127.0.0.1
    give SPARK_HOME "$(spark_home "$python")"
    give PYSPARK_PYTHON "$python"
}
