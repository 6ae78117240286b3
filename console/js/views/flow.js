// From the venues to the lake: a card for each hop, with its mark, its rate and how far it is behind.
import {Table, h, setClass, setText} from '../dom.js';
import {ago, bytes, clock, count, duration, none, plural, rate} from '../format.js';
import {healthText} from '../health.js';
import {Spark} from '../spark.js';

const words = {
    received: ['Received', 'from the venues, handed to the store'],
    durable: ['Durable', 'in the store, survives power loss'],
    acked: ['Acknowledged', 'on Kafka, by every in-sync replica'],
    emitted: ['Emitted', 'candles made'],
    committed: ['Committed', 'in the lake, visible to every reader'],
};

function behindText(hop) {
    if (hop.lag_events !== null) return plural(hop.lag_events, 'event', 'events');
    return hop.lag_records === null ? none : plural(hop.lag_records, 'record', 'records');
}

function markText(hop) {
    if (hop.unit === 'time' || hop.mark === null) return none;
    return count(hop.mark);
}

class Hop {
    constructor(name) {
        this.spark = new Spark();
        this.rate = h('p.rate');
        this.mark = h('dd');
        this.unit = h('dt');
        this.behind = h('dd');
        this.late = h('dd');
        this.log = name === 'acked' ? [h('dt', {}, 'log held back'), h('dd')] : [];
        this.time = h('dd');
        const [title, what] = words[name] || [name, ''];
        this.node = h('li.hop', {'data-hop': name}, h('h3', {}, title), h('p.what', {}, what), this.rate, this.spark.node,
            h('dl', {}, this.unit, this.mark, h('dt', {}, 'behind'), this.behind, h('dt', {}, 'in time'), this.late, ...this.log,
                name === 'acked' ? [] : [h('dt', {}, 'newest'), this.time]));
    }

    update(hop, data) {
        // Candles are made up to a time, which tells more than a count of them.
        const upTo = hop.name === 'emitted' ? `up to ${clock(hop.time_ms, data.now_ms)}` : none;
        setText(this.rate, hop.rate_per_s === null ? upTo : rate(hop.rate_per_s));
        setText(this.unit, hop.unit === 'time' ? 'mark' : hop.unit);
        setText(this.mark, markText(hop));
        setText(this.behind, behindText(hop));
        setText(this.late, duration(hop.lag_ms));
        if (this.log.length) setText(this.log[1], bytes(hop.lag_bytes));
        setText(this.time, ago(hop.time_ms, data.now_ms));
        setClass(this.node, 'slow', hop.lag_ms !== null && hop.lag_ms > 10000);
        this.spark.update(hop.history, data.step_ms);
    }
}

const sourceNames = {store: 'Store', slot: 'Replication slot', kafka: 'Kafka', registry: 'Schema registry', lake: 'Lake'};

export function flow() {
    const hops = new Map();
    const list = h('ol.hops');
    const facts = h('p.facts');
    const source = h('p.facts');
    const parts = new Table({
        label: 'What is looked at',
        key: (r) => r.name,
        columns: [
            {key: 'name', head: 'Part', width: 'm', value: (r) => sourceNames[r.name] || r.name},
            {key: 'state', head: 'State', width: 'm', value: (r) => ({
                text: {ok: 'good', failing: 'FAILING', waiting: 'looking', off: 'not configured'}[r.state],
                cls: {ok: 'good', failing: 'bad'}[r.state] || 'dim'})},
            {key: 'seen', head: 'Seen', cls: 'num', width: 'm', value: (r, now) => ago(r.seen_ms, now)},
            {key: 'took', head: 'Took', cls: 'num', width: 's', value: (r) => r.state === 'off' ? none : `${count(r.took_ms)} ms`},
            {key: 'why', head: 'Why', value: (r, now) => r.state === 'failing' ? healthText(r, now) : ''},
        ],
    });
    const node = h('div', {}, h('h1', {}, 'Flow'), facts, list, source, h('section.panel', {}, h('div.bar', {}, h('h2', {}, 'Parts')), parts.node));
    return {
        node,
        stop: () => hops.forEach((x) => x.spark.stop()),
        async refresh(get) {
            const data = await get('flow');
            for (const hop of data.hops) {
                if (!hops.has(hop.name)) {
                    const made = new Hop(hop.name);
                    hops.set(hop.name, made);
                    list.append(made.node);
                }
                hops.get(hop.name).update(hop, data);
            }
            setText(facts, `${data.deployment === 'embedded' ? 'One process' : 'Distributed'} · ${count(data.markets)} markets · ` +
                `newest trade in the lake ${ago(data.newest_trade_ms, data.now_ms)} · ${count(data.gaps_open)} open gaps, ` +
                `${count(data.missing)} events known to be missing`);
            const s = data.source;
            setText(source, s ? `This process: ${count(s.connections_up)} of ${count(s.connections)} connections up · ` +
                `${count(s.trades)} trades · ${count(s.quotes)} quotes · ${count(s.duplicates)} duplicates dropped · ` +
                `${count(s.dead_letters)} dead letters · ${count(s.errors)} error answers · ${count(s.retries)} retries`
                : 'This process has no connections to venues of its own.');
            setClass(source, 'warn', Boolean(s && s.connections_up < s.connections));
            parts.update(Object.entries(data.sources).map(([name, x]) => ({name, ...x})), data.now_ms);
        },
    };
}

