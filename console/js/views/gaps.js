// The ledger: what is missing, why, and what became of it.
import {Table, h, panel, setText} from '../dom.js';
import {count, plural} from '../format.js';
import {healthText} from '../health.js';
import {gapColumns} from './gapcolumns.js';

const MOST = 500;

export function gaps({again}) {
    const state = h('select', {id: 'state'}, ['', 'open', 'repaired', 'unrepairable'].map((s) => h('option', {value: s}, s || 'all')));
    const shown = h('p.facts', {role: 'status'});
    const table = new Table({label: 'Gaps', columns: gapColumns(true), key: (g) => g.gap_id, empty: 'no gaps'});
    const section = panel('Gaps', 'store', h('div.tools', {}, h('label', {for: 'state'}, 'State'), state, shown), table.node);
    state.addEventListener('change', again);
    return {
        node: h('div', {}, h('h1.hidden', {}, 'Gaps'), section),
        async refresh(get) {
            const data = await get('gaps', {state: state.value, limit: MOST});
            section.setHealth(data.sources, data.now_ms, healthText);
            setText(shown, `${plural(data.open, 'open gap', 'open gaps')}, ${count(data.missing)} events known to be missing; ${count(data.total)} in the ledger` +
                (data.gaps.length === MOST ? `; the newest ${MOST} are shown, open ones first` : ''));
            table.update(data.gaps, data.now_ms);
        },
    };
}
