#!/bin/sh
# setup-glue.sh URL: makes the one user of a fresh moto and prints its keys. Its first three calls need no signature, all
# others do, so nothing may call it before. The seed gives the user the same keys at each start, so that clients live
# through a restart; another seed after it keeps new schemas from the ids that others had before.
set -eu
url=$1
policy='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
scope='Credential=none/20200101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=none'

iam() {
    curl -fsS -m 20 -H "Authorization: AWS4-HMAC-SHA256 $scope" -d Version=2010-05-08 "$@" "$url/"
}
tag() { sed -n "s,.*<$1>\(.*\)</$1>.*,\1,p"; }

curl -fsS -m 20 -o /dev/null -X POST "$url/moto-api/seed?a=1"
iam -d Action=CreateUser -d UserName=ticklake >/dev/null
answer=$(iam -d Action=CreateAccessKey -d UserName=ticklake)
iam -d Action=PutUserPolicy -d UserName=ticklake -d PolicyName=all --data-urlencode "PolicyDocument=$policy" >/dev/null
curl -fsS -m 20 -o /dev/null -X POST "$url/moto-api/seed?a=$(date +%s)$$"
echo "$(echo "$answer" | tag AccessKeyId) $(echo "$answer" | tag SecretAccessKey)"
