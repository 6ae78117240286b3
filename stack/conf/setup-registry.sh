#!/bin/sh
# setup-registry.sh URL: the rule that Confluent's own registry starts with; this one starts with NONE.
set -eu
curl -fsS -m 20 -o /dev/null -X PUT -H 'Content-Type: application/vnd.schemaregistry.v1+json' \
    -d '{"compatibility":"BACKWARD"}' "$1/config"
