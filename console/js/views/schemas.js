// What the registry has of our topics, held against what this program writes.
import {h, panel, setText} from '../dom.js';
import {healthText} from '../health.js';

const stateClass = {equal: 'good', different: 'warn', absent: 'dim', unreadable: 'bad'};

function typeText(type) {
    if (Array.isArray(type)) return type.map(typeText).filter((t) => t !== 'null').join(' or ') + (type.includes('null') ? ', may be absent' : '');
    if (typeof type === 'string') return type;
    const logical = type.logicalType ? ` (${type.logicalType}${type.precision ? ` ${type.precision}, ${type.scale || 0}` : ''})` : '';
    return `${typeText(type.type)}${logical}`;
}

function fields(schema) {
    try {
        return JSON.parse(schema).fields || [];
    } catch {
        return [];
    }
}

function subject(s) {
    const list = fields(s.schema);
    const head = h('summary', {}, h('b', {}, s.subject), ' ', h(`span.${stateClass[s.state] || 'dim'}`, {}, s.state === 'equal' ? 'equal to ours' : s.state),
        h('span.dim', {}, s.version ? ` · version ${s.version} · id ${s.id} · ${list.length} fields` : ` · not registered yet; ours has ${list.length} fields`));
    const differences = s.differences.map((d) => h('li.warn', {}, `${d.field || 'the record'}: ours ${d.ours}, theirs ${d.theirs}`));
    const rows = list.map((f) => h('tr', {}, h('td', {}, f.name), h('td', {}, typeText(f.type)), h('td.dim', {}, f.doc || '')));
    return h('details', {'data-subject': s.subject, open: s.differences.length > 0}, head,
        s.error ? h('p.bad', {}, s.error) : null, differences.length ? h('ul', {}, differences) : null,
        h('div.table', {}, h('table.grid', {'aria-label': `Fields of ${s.subject}`},
            h('thead', {}, h('tr', {}, h('th.w-l', {scope: 'col'}, 'Field'), h('th.w-l', {scope: 'col'}, 'Type'), h('th', {scope: 'col'}, ''))), h('tbody', {}, rows))));
}

export function schemas() {
    const facts = h('p.facts');
    const list = h('div.subjects');
    const section = panel('Schemas', 'registry', facts, list);
    const shown = new Map();
    return {
        everyMs: 5000,
        node: h('div', {}, h('h1.hidden', {}, 'Schemas'), section),
        async refresh(get) {
            const data = await get('schemas');
            section.setHealth(data.sources, data.now_ms, healthText);
            if (!data.subjects) return;
            setText(facts, `${data.kind} at ${data.address}`);
            data.subjects.forEach((s) => {
                const text = JSON.stringify(s);
                const old = shown.get(s.subject);
                if (old?.text === text) return;
                const node = subject(s);
                if (old) {
                    node.open ||= old.node.open;
                    old.node.replaceWith(node);
                } else {
                    list.append(node);
                }
                shown.set(s.subject, {text, node});
            });
        },
    };
}
