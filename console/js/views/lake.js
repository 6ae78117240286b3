// Tables of the lake, and the position of each partition.
import {Table, h, panel, setText} from '../dom.js';
import {ago, bytes, count} from '../format.js';
import {healthText} from '../health.js';

export function lake() {
    const facts = h('p.facts');
    const tables = new Table({
        label: 'Tables', key: (t) => t.name,
        columns: [
            {key: 'name', head: 'Table', width: 'm', value: (t) => ({text: `market.${t.name}`, title: t.metadata_location})},
            {key: 'rows', head: 'Rows', cls: 'num', width: 'm', value: (t) => count(t.rows), sort: (t) => t.rows, downFirst: true},
            {key: 'bytes', head: 'Size', cls: 'num', width: 's', value: (t) => bytes(t.bytes), sort: (t) => t.bytes, downFirst: true},
            {key: 'files', head: 'Data files', cls: 'num', width: 's', value: (t) => count(t.data_files)},
            {key: 'deletes', head: 'Delete files', cls: 'num', width: 's', value: (t) => count(t.delete_files)},
            {key: 'snapshots', head: 'Snapshots', cls: 'num', width: 's', value: (t) => count(t.snapshots)},
            {key: 'commit', head: 'Newest commit', cls: 'num', width: 'm', value: (t, now) => ago(t.committed_ms, now)},
            {key: 'location', head: 'Location', value: (t) => ({text: t.location, cls: 'dim', title: t.metadata_location})},
        ],
    });
    const positions = new Table({
        label: 'Positions', key: (p) => p.name,
        columns: [
            {key: 'name', head: 'Partition', width: 'l', value: (p) => p.name},
            {key: 'position', head: 'In the lake up to', cls: 'num', width: 'm', value: (p) => count(p.position)},
            {key: 'end', head: 'On the bus up to', cls: 'num', width: 'm', value: (p) => count(p.end ?? null)},
            {key: 'lag', head: 'Behind (records)', cls: 'num', width: 'm', value: (p) => count(p.lag_records ?? null), sort: (p) => p.lag_records ?? null, downFirst: true},
        ],
    });
    const section = panel('Lake', 'lake', facts, tables.node);
    const second = panel('Positions', 'lake', positions.node);
    return {
        node: h('div', {}, h('h1.hidden', {}, 'Lake'), section, second),
        async refresh(get) {
            const data = await get('lake');
            section.setHealth(data.sources, data.now_ms, healthText);
            second.setHealth(data.sources, data.now_ms, () => '');
            if (!data.tables) return;
            const sum = (f) => data.tables.reduce((s, t) => s + t[f], 0);
            setText(facts, `${count(sum('rows'))} rows in ${count(sum('data_files'))} data files, ${bytes(sum('bytes'))}; catalog in ${data.catalog}`);
            tables.update(data.tables, data.now_ms);
            positions.update(data.positions, data.now_ms);
        },
    };
}
