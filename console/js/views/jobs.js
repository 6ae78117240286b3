// Work with a beginning and an end: back-fill, repair, compaction, verification.
import {Table, h, panel} from '../dom.js';
import {ago, count, duration, none, time} from '../format.js';
import {healthText} from '../health.js';

export function jobs() {
    const table = new Table({
        label: 'Jobs', key: (j) => j.job_id, empty: 'no job ran yet: ticklake backfill, repair, compact and verify are listed here',
        columns: [
            {key: 'id', head: 'Job', cls: 'num', width: 's', value: (j) => String(j.job_id)},
            {key: 'state', head: 'State', width: 's', value: (j) => ({text: j.state === 'failed' ? `FAILED (exit ${j.exit_code})` : j.state,
                cls: {done: 'good', failed: 'bad', running: 'warn'}[j.state]})},
            {key: 'command', head: 'Command', width: 'm', value: (j) => j.command},
            {key: 'arguments', head: 'Arguments', width: 'l', value: (j) => ({text: j.arguments, title: j.arguments})},
            {key: 'started', head: 'Started', cls: 'num', width: 'm', value: (j, now) => ({text: ago(j.started_ms, now), title: time(j.started_ms)})},
            {key: 'took', head: 'Took', cls: 'num', width: 's', value: (j, now) => duration((j.finished_ms ?? now) - j.started_ms)},
            {key: 'rows', head: 'Rows', cls: 'num', width: 's', value: (j) => count(j.rows)},
            {key: 'duplicates', head: 'There already', cls: 'num', width: 's', value: (j) => count(j.duplicates)},
            {key: 'message', head: 'Message', value: (j) => ({text: j.message || none, title: j.message, cls: j.state === 'failed' ? 'bad' : ''})},
        ],
    });
    const section = panel('Jobs', 'store', table.node);
    return {
        node: h('div', {}, h('h1.hidden', {}, 'Jobs'), section),
        async refresh(get) {
            const data = await get('jobs');
            section.setHealth(data.sources, data.now_ms, healthText);
            if (data.jobs) table.update(data.jobs, data.now_ms);
        },
    };
}
