// Brokers, topics, partitions with their replicas, the group's lag; and the slot that feeds them.
import {Table, h, panel, setClass, setText} from '../dom.js';
import {bytes, count, duration, none} from '../format.js';
import {healthText} from '../health.js';

export function kafka() {
    const facts = h('p.facts', {role: 'status'});
    const slotFacts = h('p.facts');
    const brokers = new Table({
        label: 'Brokers', key: (b) => b.id, empty: 'no broker was seen yet',
        rowClass: (b) => b.up ? '' : 'alarm',
        columns: [
            {key: 'id', head: 'Broker', width: 's', value: (b) => String(b.id)},
            {key: 'state', head: 'State', width: 'l', value: (b, now) => b.up ? {text: 'up', cls: 'good'}
                : {text: `DOWN for ${duration(now - b.down_since_ms)}`, cls: 'bad'}},
            {key: 'role', head: 'Role', width: 'm', value: (b) => b.controller ? 'controller' : ''},
            {key: 'host', head: 'Address', value: (b) => b.host ? `${b.host}:${b.port}` : none},
        ],
    });
    const partitions = new Table({
        label: 'Partitions', key: (p) => `${p.name}/${p.partition}`, empty: 'no topic is there yet',
        rowClass: (p) => p.leader < 0 || p.under_replicated ? 'alarm' : '',
        columns: [
            {key: 'topic', head: 'Topic', value: (p) => p.partition === 0 ? p.name : {text: p.name, cls: 'dim'}},
            {key: 'partition', head: 'Partition', cls: 'num', width: 's', value: (p) => String(p.partition)},
            {key: 'leader', head: 'Leader', cls: 'num', width: 's', value: (p) => p.leader < 0 ? {text: 'NONE', cls: 'bad'} : String(p.leader)},
            {key: 'replicas', head: 'Replicas', cls: 'num', width: 's', value: (p) => p.replicas.join(' ')},
            {key: 'in_sync', head: 'In sync', cls: 'num', width: 'm', value: (p) => ({
                text: p.under_replicated ? `${p.in_sync.join(' ')} (${p.in_sync.length} of ${p.replicas.length})` : p.in_sync.join(' '),
                cls: p.under_replicated ? 'bad' : ''})},
            {key: 'oldest', head: 'Oldest', cls: 'num', width: 's', value: (p) => count(p.oldest)},
            {key: 'end', head: 'End', cls: 'num', width: 's', value: (p) => count(p.end)},
            {key: 'group', head: 'Group at', cls: 'num', width: 's', value: (p) => count(p.group_offset)},
            {key: 'lag', head: 'Lag (records)', cls: 'num', width: 'm', value: (p) => count(p.lag_records)},
        ],
    });
    const bus = panel('Kafka', 'kafka', facts, brokers.node, partitions.node);
    const slot = panel('PostgreSQL replication slot', 'slot', slotFacts);

    function showSlot(s) {
        setClass(slotFacts, 'bad', Boolean(s && (!s.exists || s.wal_status === 'lost')));
        if (!s) setText(slotFacts, '');
        else if (!s.exists) setText(slotFacts, `There is no slot named ${s.name}: the publisher makes it when it starts.`);
        else setText(slotFacts, `${s.name}: ${s.active ? `read by process ${s.active_pid}` : 'NOBODY reads it'} · WAL ${s.wal_status} · ` +
            `${bytes(s.behind_bytes)} behind · ${s.safe_bytes === null ? 'no limit on what it may hold back' : `${bytes(s.safe_bytes)} until it is lost`} · ` +
            `confirmed ${s.confirmed_lsn} of ${s.server_lsn}`);
        setClass(slotFacts, 'warn', Boolean(s && s.exists && !s.active));
    }
    return {
        node: h('div', {}, h('h1.hidden', {}, 'Kafka'), bus, slot),
        async refresh(get) {
            const data = await get('kafka');
            bus.setHealth(data.sources, data.now_ms, healthText);
            slot.setHealth(data.sources, data.now_ms, healthText);
            showSlot(data.slot);
            if (!data.brokers) return;
            const up = data.brokers.filter((b) => b.up).length;
            const bad = data.under_replicated > 0 || data.offline > 0 || up < data.brokers.length;
            setClass(facts, 'bad', bad);
            setText(facts, `Cluster ${data.cluster} · ${up} of ${data.brokers.length} brokers up · ` +
                `${count(data.under_replicated)} under-replicated, ${count(data.offline)} without a leader · ` +
                `at least ${data.min_insync} in-sync replicas acknowledge · group ${data.group}: ${count(data.group_lag_records)} records behind`);
            brokers.update(data.brokers, data.now_ms);
            partitions.update(data.topics.flatMap((t) => t.partitions.map((p) => ({name: t.name || t.table, ...p}))), data.now_ms);
        },
    };
}
