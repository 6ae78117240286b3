"""The stack itself: its parts start within their deadlines and do their work, the fault verbs do what they say, nothing stays behind."""
import os
import pathlib
import re
import socket
import subprocess
import sys
import uuid

import pytest

from stack_tools import ROOT, Stack, ports_in_use, wait_until

PARTS = ('postgres', 'zookeeper', 'glue', 's3', 'kafka', 'registry', 'spark', 'airflow')
MEMORY_LIMIT_KB = 5 << 20


def tools():
    """Where the programs of the test environment are."""
    return pathlib.Path(sys.executable).parent


def read_all(brokers, topic, count, seconds=60):
    from confluent_kafka import Consumer
    consumer = Consumer({'bootstrap.servers': brokers, 'group.id': uuid.uuid4().hex, 'auto.offset.reset': 'earliest',
                         'isolation.level': 'read_committed'})
    consumer.subscribe([topic])
    got = []

    def poll():
        message = consumer.poll(0.5)
        if message and not message.error():
            got.append(message.value())
        return len(got) >= count
    wait_until(poll, seconds, f'{count} records of {topic}', pause=0)
    consumer.close()
    return got


def make_topic(brokers, topic, partitions=3):
    from confluent_kafka.admin import AdminClient, NewTopic
    admin = AdminClient({'bootstrap.servers': brokers})  # kept: its end would end the call
    admin.create_topics([NewTopic(topic, partitions, 3)])[topic].result(30)


def produce(brokers, topic, values, transactional=False):
    from confluent_kafka import Producer
    settings = {'bootstrap.servers': brokers, 'enable.idempotence': True}
    if transactional:
        settings['transactional.id'] = topic
    producer, failed = Producer(settings), []
    if transactional:
        producer.init_transactions(60)
        producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(90) == 0
    if transactional:
        producer.commit_transaction(60)
    assert not failed


def in_sync(brokers, topic):
    """Of each partition how many replicas are in sync."""
    from confluent_kafka.admin import AdminClient
    topics = AdminClient({'bootstrap.servers': brokers}).list_topics(topic, timeout=10).topics
    return sorted(len(p.isrs) for p in topics[topic].partitions.values())


def test_every_part_is_up_and_small(stack):
    stack.up()
    told = stack.status()
    told['parts'].pop('rest')  # only started when it is named
    assert {name: part['state'] for name, part in told['parts'].items()} == dict.fromkeys(PARTS, 'ready')
    assert 0 < told['rss_kb'] < MEMORY_LIMIT_KB
    before = sorted(stack.pids())
    stack.up()
    assert sorted(stack.pids()) == before, 'a second up starts nothing'


def listening(pids):
    """The addresses that these processes listen on, from the kernel's tables."""
    inodes = set()
    for pid in pids:
        for fd in pathlib.Path(f'/proc/{pid}/fd').iterdir():
            try:
                inodes.update(re.findall(r'socket:\[(\d+)\]', os.readlink(fd)))
            except OSError:
                pass
    found = set()
    for name in ('tcp', 'tcp6'):
        for row in pathlib.Path(f'/proc/net/{name}').read_text().splitlines()[1:]:
            field = row.split()
            if field[3] == '0A' and field[9] in inodes:
                found.add(field[1].split(':')[0])
    return found


def test_listens_on_loopback_only(stack):
    stack.up()
    # 127.0.0.1, and the same as IPv6 writes it
    assert listening(stack.pids()) <= {'0100007F', '0000000000000000FFFF00000100007F'}


def test_postgres_by_address_and_socket(stack):
    import psycopg
    stack.up('postgres')
    env = stack.env()
    for url in (env['TICKLAKE_STORE__URL'], env['TICKLAKE_STACK_POSTGRES_SOCKET_URL']):
        with psycopg.connect(url) as db:
            assert db.execute('show wal_level').fetchone() == ('logical',)
            assert db.execute('select rolreplication, rolsuper from pg_roles where rolname = current_user').fetchone() == (True, False)
            assert db.execute("select pg_get_userbyid(datdba) from pg_database where datname = current_database()").fetchone() == ('ticklake',)
    with stack.admin() as db:
        secret, = db.execute("select rolpassword from pg_authid where rolname = 'ticklake'").fetchone()
        assert secret.startswith('SCRAM-SHA-256$')
    with pytest.raises(psycopg.OperationalError, match='password authentication failed'):
        psycopg.connect(env['TICKLAKE_STORE__URL'].replace(':ticklake-password@', ':wrong@'))
    with psycopg.connect(stack.new_database()) as db:
        db.execute('create table t(x int)')


def test_postgres_comes_back_after_kill(stack):
    import psycopg
    stack.up('postgres')
    url = stack.new_database()
    with psycopg.connect(url) as db:
        db.execute('create table kept as select 42 as x')
    stack.kill('postgres')
    assert stack.state('postgres') == 'down'
    stack.start('postgres')
    with psycopg.connect(url) as db:
        assert db.execute('select x from kept').fetchone() == (42,)


def test_kafka_carries_transactions(stack):
    stack.up('kafka')
    topic = f'stack.{uuid.uuid4().hex}'
    make_topic(stack.brokers, topic)
    produce(stack.brokers, topic, [b'%d' % i for i in range(1000)], transactional=True)
    assert sorted(map(int, read_all(stack.brokers, topic, 1000))) == list(range(1000))
    assert in_sync(stack.brokers, topic) == [3, 3, 3]


def test_kafka_broker_killed_and_back(stack):
    stack.up('kafka')
    topic = f'stack.{uuid.uuid4().hex}'
    make_topic(stack.brokers, topic)
    produce(stack.brokers, topic, [b'before'])
    stack.kill('kafka', 2)
    assert stack.state('kafka') == 'half'
    wait_until(lambda: in_sync(stack.brokers, topic) == [2, 2, 2], 60, 'broker 2 out of sync')
    produce(stack.brokers, topic, [b'between'])
    stack.start('kafka', 2)
    wait_until(lambda: in_sync(stack.brokers, topic) == [3, 3, 3], 60, 'broker 2 in sync again')
    assert sorted(read_all(stack.brokers, topic, 2)) == [b'before', b'between']


def test_registry_answers_as_confluents(stack):
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
    from confluent_kafka.schema_registry.error import SchemaRegistryError
    stack.up('registry')
    client = SchemaRegistryClient({'url': stack.env()['TICKLAKE_REGISTRY__URL']})
    subject = f'stack-{uuid.uuid4().hex}-value'
    first = '{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}'
    number = client.register_schema(subject, Schema(first, 'AVRO'))
    assert client.register_schema(subject, Schema(first.replace(':', ' : '), 'AVRO')) == number, 'white space makes no other id'
    # BACKWARD is the rule from the start: a new field without a default is refused.
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, Schema(first.replace('}]', '},{"name":"b","type":"long"}]'), 'AVRO'))
    assert refused.value.http_status_code == 409
    stack.kill('registry')
    stack.start('registry')
    assert client.get_latest_version(subject).schema_id == number, 'subjects survive a restart'


def test_glue_checks_signatures(stack):
    import boto3
    from botocore.exceptions import ClientError
    stack.up('glue')
    glue, name = stack.glue(), f'stack-{uuid.uuid4().hex}'
    glue.create_registry(RegistryName=name)
    assert name in [r['RegistryName'] for r in glue.list_registries()['Registries']]
    env = stack.env(glue=True)
    assert env['TICKLAKE_REGISTRY__KIND'] == 'glue' and env['TICKLAKE_REGISTRY__URL'] == env['TICKLAKE_STACK_GLUE_URL']
    wrong = boto3.client('glue', endpoint_url=env['TICKLAKE_STACK_GLUE_URL'], region_name=env['AWS_REGION'],
                         aws_access_key_id=env['AWS_ACCESS_KEY_ID'], aws_secret_access_key='wrong')
    with pytest.raises(ClientError, match='SignatureDoesNotMatch|403'):
        wrong.list_registries()
    stack.kill('glue')
    stack.start('glue')
    assert stack.env()['AWS_ACCESS_KEY_ID'] == env['AWS_ACCESS_KEY_ID'], 'clients keep their keys over a restart'
    stack.glue().list_registries()


def test_s3_keeps_and_compares(stack):
    from botocore.exceptions import ClientError
    stack.up('s3')
    s3, bucket = stack.s3(), stack.env()['TICKLAKE_STACK_S3_BUCKET']
    key = f'stack/{uuid.uuid4().hex}'
    s3.put_object(Bucket=bucket, Key=key, Body=b'x' * 100000, IfNoneMatch='*')
    with pytest.raises(ClientError, match='PreconditionFailed'):
        s3.put_object(Bucket=bucket, Key=key, Body=b'y', IfNoneMatch='*')
    stack.kill('s3')
    stack.start('s3')
    assert s3.get_object(Bucket=bucket, Key=key)['Body'].read() == b'x' * 100000


def test_pyiceberg_table_on_s3_and_postgres(stack):
    import pyarrow
    from pyiceberg.catalog import load_catalog
    stack.up('s3', 'postgres')
    env = stack.env()
    url = stack.new_database().replace('postgresql://', 'postgresql+psycopg2://')
    catalog = load_catalog('ticklake', type='sql', uri=url, warehouse=env['TICKLAKE_LAKE__WAREHOUSE'] + uuid.uuid4().hex, **{
        's3.endpoint': env['TICKLAKE_S3__ENDPOINT'], 's3.region': env['TICKLAKE_S3__REGION'],
        's3.access-key-id': env['TICKLAKE_S3__ACCESS_KEY'], 's3.secret-access-key': env['TICKLAKE_S3__SECRET_KEY']})
    catalog.create_namespace('market')
    rows = pyarrow.table({'x': [1, 2, 3]})
    catalog.create_table('market.t', rows.schema).append(rows)
    assert catalog.load_table('market.t').scan().to_arrow().equals(rows)


SPARK_JOB = '''
import sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("stack").getOrCreate()
spark.sql("create namespace if not exists ticklake.stack")
spark.sql("create or replace table ticklake.stack.t (x bigint) using iceberg")
spark.range(100).selectExpr("id as x").repartition(2).writeTo("ticklake.stack.t").append()
print("sum", spark.sql("select sum(x) from ticklake.stack.t").first()[0], spark.sparkContext.master)
frame = spark.read.format("kafka").option("kafka.bootstrap.servers", sys.argv[1]).option("subscribe", sys.argv[2])
print("records", frame.option("startingOffsets", "earliest").load().count())
spark.stop()
'''


def test_spark_reads_kafka_and_writes_iceberg(stack, tmp_path):
    stack.up('spark', 'postgres', 's3', 'kafka')
    topic = f'stack.{uuid.uuid4().hex}'
    make_topic(stack.brokers, topic)
    produce(stack.brokers, topic, [b'%d' % i for i in range(50)])
    job = tmp_path / 'job.py'
    job.write_text(SPARK_JOB)
    env = {**os.environ, **stack.env()}
    done = subprocess.run([env['SPARK_HOME'] + '/bin/spark-submit', job, stack.brokers, topic], capture_output=True, text=True, env=env, timeout=400)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f'sum 4950 {env["TICKLAKE_STACK_SPARK_URL"]}' in done.stdout and 'records 50' in done.stdout


def test_airflow_is_healthy_and_lets_in_by_password(stack):
    import requests
    stack.up('airflow')
    session, url = stack.airflow()
    health = session.get(f'{url}/monitor/health', timeout=30).json()
    assert [health[x]['status'] for x in ('metadatabase', 'scheduler', 'dag_processor')] == ['healthy'] * 3
    assert session.get(f'{url}/dags', timeout=30).status_code == 200
    assert requests.get(f'{url}/dags', timeout=30).status_code == 401


def test_frozen_broker_is_seen_and_thawed(stack):
    stack.up('kafka')
    pid = next(p['pid'] for p in stack.status()['parts']['kafka']['processes'] if p['name'] == 'kafka-3')
    with stack.frozen('kafka', 3):
        told = stack.status()['parts']['kafka']
        assert told['state'] == 'half'
        assert [p['state'] for p in told['processes']] == ['ready', 'ready', 'frozen']
    wait_until(lambda: stack.state('kafka') == 'ready', 60, 'thawed broker ready')
    assert pid in stack.pids(), 'it is the same process'


def test_kraft_cluster_by_itself():
    with Stack(kraft=True) as own:
        own.up('kafka')
        told = own.status()
        assert told['kafka_mode'] == 'kraft' and told['parts']['zookeeper']['state'] == 'down'
        topic = 'stack.kraft'
        make_topic(own.brokers, topic)
        produce(own.brokers, topic, [b'a', b'b'], transactional=True)
        own.kill('kafka', 1)
        own.start('kafka', 1)
        assert sorted(read_all(own.brokers, topic, 2)) == [b'a', b'b']


def processes_of(folder):
    """The pids that know the folder, by command line or environment."""
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            for name in ('cmdline', 'environ'):
                try:
                    if str(folder).encode() in (entry / name).read_bytes():
                        found.append(int(entry.name))
                except OSError:
                    pass
    return found


def test_down_leaves_nothing():
    own = Stack()
    own.up('postgres', 'zookeeper', 'glue', 's3')
    assert processes_of(own.folder) and len(ports_in_use(own.base)) == 4
    own.down()
    assert processes_of(own.folder) == [] and ports_in_use(own.base) == []
    assert (own.folder / 's3' / 'data').is_dir(), 'data stay'
    own.up('s3')
    own.close()
    assert processes_of(own.folder) == [] and not own.folder.exists()


def test_two_stacks_at_a_time():
    with Stack() as one, Stack() as two:
        one.up('postgres')
        two.up('postgres')
        assert one.env()['TICKLAKE_STORE__URL'] != two.env()['TICKLAKE_STORE__URL']
        with one.admin() as a, two.admin() as b:
            query = 'select system_identifier from pg_control_system()'
            assert a.execute(query).fetchone() != b.execute(query).fetchone()


def test_taken_port_is_said_with_the_log():
    with Stack() as own, socket.socket() as other:
        port = int(own.env()['TICKLAKE_STACK_POSTGRES'].split(':')[1])
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(('127.0.0.1', port))
        other.listen()
        done = own.run('up', 'postgres', check=69)
        assert 'postgres' in done.stderr and '127.0.0.1' in done.stderr and 'in use' in done.stderr


@pytest.mark.parametrize('line', [['up', 'nothing'], ['up', '--what'], ['kill', 'kafka', '4'], ['logs'], ['env', '--what'], ['freeze', 'x']])
def test_wrong_use_is_64(stack, line):
    done = stack.run(*line, check=64)
    assert done.stderr.startswith('stack: ') and 'expected' in done.stderr or 'usage' in done.stderr


def test_what_does_not_run_cannot_be_frozen():
    with Stack() as own:
        assert 'does not run' in own.run('freeze', 'postgres', check=69).stderr


def test_no_password_in_the_process_list(stack):
    stack.up()
    secrets = [value for name, value in stack.env().items() if re.search('PASSWORD|SECRET', name)]
    assert len(secrets) >= 3
    for pid in stack.pids():
        line = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().decode()
        assert not [s for s in secrets if s in line], line


def test_scripts_are_clean():
    files = [p for p in (ROOT / 'stack').iterdir() if p.is_file() and os.access(p, os.X_OK)] + sorted((ROOT / 'stack/lib').glob('*.sh'))
    done = subprocess.run([tools() / 'shellcheck', '-x', '-S', 'style', *files], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def versions():
    rows = (line.partition('=') for line in (ROOT / 'stack/versions.env').read_text().splitlines() if re.match('[A-Z]', line))
    return {name: value for name, _, value in rows}


def compose():
    from ruamel.yaml import YAML
    return YAML(typ='safe').load(ROOT / 'deploy/compose.yaml')


def test_compose_is_valid():
    done = subprocess.run([tools() / 'check-jsonschema', '--builtin-schema', 'vendor.compose-spec', ROOT / 'deploy/compose.yaml'],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_compose_takes_versions_and_ports_from_the_one_file():
    text, known = (ROOT / 'deploy/compose.yaml').read_text(), versions()
    used = set(re.findall(r'(?<!\$)\$\{(\w+)', text)) - {'TICKLAKE_STACK_SPARK_JARS', 'TICKLAKE_SERVE__TOKEN'}
    assert used <= set(known), used - set(known)
    assert {name for name in known if name.endswith('_VERSION')} - used == {'ZOOKEEPER_VERSION', 'KAFKA_KRAFT_VERSION', 'GO_VERSION', 'REST_VERSION'}
    for n in (1, 2, 3):
        port = int(known['KAFKA_PORT']) + n
        broker = compose()['services'][f'kafka-{n}']
        assert broker['ports'] == [f'127.0.0.1:{port}:{port}'] and broker['environment']['KAFKA_HOST_PORT'] == str(port)
    for service in compose()['services'].values():
        assert all(port.startswith('127.0.0.1:') for port in service.get('ports', ()))
        assert 'latest' not in service['image'] and (':' in service['image'] or 'build' in service)


def test_compose_and_stack_share_their_files():
    whole, services = (ROOT / 'deploy/compose.yaml').read_text(), compose()['services']
    in_compose = whole + ''.join(p.read_text() for p in (ROOT / 'deploy').glob('start-*'))
    in_stack = ''.join(p.read_text() for p in (ROOT / 'stack/lib').glob('*.sh'))
    only_kraft = {'broker-kraft.properties', 'log4j2.properties'}  # compose has the ZooKeeper form
    for path in (ROOT / 'stack/conf').iterdir():
        assert path.name in in_stack or path.name == 'broker-zookeeper.properties' or path.name in only_kraft, path
        assert path.name in only_kraft or path.name in in_compose, path
    for name, service in services.items():
        long_lived = service.get('restart') == 'unless-stopped'
        in_image = service['image'] == 'ticklake'  # deploy/Dockerfile has its health check
        assert not long_lived or in_image or 'healthcheck' in service, name
        for volume in service.get('volumes', ()):
            source = volume.split(':')[0]
            if source.startswith('.') and 'airflow/dags' not in source:
                assert (ROOT / 'deploy' / source).exists(), source
            elif re.fullmatch('[a-z0-9-]+', source):
                assert source in compose()['volumes'], source
        for needed in service.get('depends_on', ()):
            assert needed in services, needed


def test_compose_settings_are_those_of_stack_env(stack):
    told = stack.env()
    in_compose = {name for name in compose()['x-settings'] if name.startswith('TICKLAKE_')}
    assert in_compose == {name for name in told if name.startswith('TICKLAKE_') and '__' in name}


def test_dockerfile_and_start_scripts_are_clean():
    starts = sorted((ROOT / 'deploy').glob('start-*')) + sorted((ROOT / 'stack/conf').glob('*.sh'))
    for line in ([tools() / 'hadolint', ROOT / 'deploy/Dockerfile'], [tools() / 'shellcheck', '-S', 'style', *starts]):
        done = subprocess.run(line, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_outlives_its_terminal(stack):
    """A stack outlives the shell that started it: its processes are in sessions of their own."""
    stack.up('s3')
    pid = stack.status()['parts']['s3']['processes'][0]['pid']
    assert os.getsid(pid) == pid != os.getsid(0)
