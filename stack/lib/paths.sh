# shellcheck shell=bash
# Where scripts/setup keeps what it installs for the stack, and what it is: a folder for each set of pins, so that
# another pin is another folder and nothing is ever half new.

STACK_SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
STACK_CACHE=${TICKLAKE_CACHE:-$HOME/.cache/ticklake}/stack
# shellcheck source=stack/versions.env
. "$STACK_SOURCE/versions.env"

# pinned NAME VERSION FILE...: the folder of the files' content
pinned() {
    local name=$1 version=$2
    shift 2
    echo "$STACK_CACHE/$name-$version-$(cat "$@" | sha256sum | cut -c 1-12)"
}

# component_folder NAME
component_folder() {
    local pom=$STACK_SOURCE/pom sums=$STACK_SOURCE/checksums.txt
    case $1 in
    kafka) pinned kafka "$KAFKA_VERSION" "$pom/kafka.xml" <(grep " kafka/" "$sums") ;;
    kafka-kraft) pinned kafka "$KAFKA_KRAFT_VERSION" "$pom/kafka-kraft.xml" <(grep " kafka-kraft/" "$sums") ;;
    registry) pinned apicurio "$APICURIO_VERSION" <(grep " registry/" "$sums") ;;
    spark) pinned spark-jars "$SPARK_VERSION" "$pom/spark.xml" <(grep " spark/" "$sums") ;;
    glue) pinned moto "$MOTO_VERSION" "$STACK_SOURCE/requirements-moto.txt" ;;
    airflow) pinned airflow "$AIRFLOW_VERSION" "$STACK_SOURCE/requirements-airflow.txt" ;;
    rest) pinned rest-catalog "$REST_VERSION" "$pom/rest.xml" "$STACK_SOURCE/rest/RestCatalog.java" <(grep " rest/" "$sums") ;;
    s3) pinned versitygw "$VERSITYGW_VERSION" /dev/null ;;
    *) return 1 ;;
    esac
}

# The folder with initdb and postgres: the distribution's newest, not older than the pinned version.
postgres_bin() {
    local folder version best=0
    for folder in /usr/lib/postgresql/*/bin; do
        version=${folder#/usr/lib/postgresql/}
        version=${version%/bin}
        if [ -x "$folder/initdb" ] && [ "$version" -ge "$POSTGRES_VERSION" ] && [ "$version" -gt "$best" ]; then best=$version; fi
    done
    [ "$best" -gt 0 ] && echo "/usr/lib/postgresql/$best/bin"
}
