"""Writers' schemas by the bytes in front of a record: Confluent's API or AWS Glue, as TICKLAKE_REGISTRY__... say."""
import base64
import datetime
import hashlib
import hmac
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
import uuid

TIMEOUT_S = 10
CONFLUENT_FRAME, GLUE_FRAME = 5, 18


class RegistryError(Exception):
    pass


def signed_headers(url, body, region, action, access_key, secret_key, session_token, now):
    """AWS Signature Version 4 for a POST of JSON to Glue."""
    host, day, stamp = urllib.parse.urlsplit(url).netloc, now.strftime('%Y%m%d'), now.strftime('%Y%m%dT%H%M%SZ')
    headers = {'content-type': 'application/x-amz-json-1.1', 'host': host, 'x-amz-date': stamp, 'x-amz-target': f'AWSGlue.{action}'}
    if session_token:
        headers['x-amz-security-token'] = session_token
    names = ';'.join(sorted(headers))
    lines = ''.join(f'{n}:{headers[n]}\n' for n in sorted(headers))
    canonical = f'POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}'
    scope = f'{day}/{region}/glue/aws4_request'
    text = f'AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}'
    key = f'AWS4{secret_key}'.encode()
    for word in (day, region, 'glue', 'aws4_request'):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers['authorization'] = f'AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}'
    return headers


class Registry:
    """schema(frame): the text of the writer's schema; each is asked for once."""

    def __init__(self, setting, secret_setting):
        self.kind = setting('REGISTRY__KIND')
        if self.kind not in ('confluent', 'glue'):
            raise RegistryError(f'TICKLAKE_REGISTRY__KIND: expected confluent or glue, got "{self.kind}"')
        ca_file = setting('REGISTRY__CA_FILE', needed=False)
        self.tls = ssl.create_default_context(cafile=ca_file)
        self.region = setting('REGISTRY__REGION', needed=False) or os.environ.get('AWS_REGION', 'us-east-1')
        self.url = setting('REGISTRY__URL', needed=self.kind == 'confluent') or f'https://glue.{self.region}.amazonaws.com'
        self.user = setting('REGISTRY__USER', needed=False)
        self.password, self.token = secret_setting('REGISTRY__PASSWORD'), secret_setting('REGISTRY__TOKEN')
        self.frame_bytes = CONFLUENT_FRAME if self.kind == 'confluent' else GLUE_FRAME
        self.schemas = {}

    def schema(self, frame):
        frame = bytes(frame)
        if frame not in self.schemas:
            self.schemas[frame] = self.confluent(frame) if self.kind == 'confluent' else self.glue(frame)
        return self.schemas[frame]

    def confluent(self, frame):
        if len(frame) != CONFLUENT_FRAME or frame[0] != 0:
            raise RegistryError(f'a record that does not begin with 00 and a schema id, but with {frame.hex()}')
        headers = {'accept': 'application/vnd.schemaregistry.v1+json, application/json'}
        if self.token:
            headers['authorization'] = f'Bearer {self.token}'
        elif self.user:
            headers['authorization'] = 'Basic ' + base64.b64encode(f'{self.user}:{self.password or ""}'.encode()).decode()
        return self.ask(f'{self.url.rstrip("/")}/schemas/ids/{int.from_bytes(frame[1:], "big")}', None, headers, 'schema')

    def glue(self, frame):
        if len(frame) != GLUE_FRAME or frame[0] != 3 or frame[1] not in (0, 5):
            raise RegistryError(f'a record that does not begin with 03, 00 or 05 and a UUID, but with {frame.hex()}')
        body = json.dumps({'SchemaVersionId': str(uuid.UUID(bytes=frame[2:]))}).encode()
        headers = signed_headers(f'{self.url.rstrip("/")}/', body, self.region, 'GetSchemaVersion', os.environ.get('AWS_ACCESS_KEY_ID', ''),
                                 os.environ.get('AWS_SECRET_ACCESS_KEY', ''), os.environ.get('AWS_SESSION_TOKEN'),
                                 datetime.datetime.now(datetime.timezone.utc))
        return self.ask(f'{self.url.rstrip("/")}/', body, headers, 'SchemaDefinition')

    def ask(self, url, body, headers, field):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=TIMEOUT_S,
                                        context=self.tls if url.startswith('https:') else None) as answer:
                return json.loads(answer.read())[field]
        except urllib.error.HTTPError as error:
            raise RegistryError(f'schema registry {url}: HTTP {error.code}: {error.read(500).decode(errors="replace")}') from None
        except (OSError, ValueError, KeyError) as error:
            raise RegistryError(f'schema registry {url}: {error!r}') from None
