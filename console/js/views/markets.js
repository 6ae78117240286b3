// A row for each venue and symbol: thousands of them, of which only those in sight are in the page.
import {Table, h, panel, setText} from '../dom.js';
import {ago, count, price} from '../format.js';
import {healthText} from '../health.js';

const QUIET_MS = 60000;

export function symbolLink(venue, symbol) {
    return `#/symbol/${encodeURIComponent(venue)}/${encodeURIComponent(symbol)}`;
}

export function markets({parameters}) {
    let data = {markets: [], now_ms: Date.now()};
    const field = h('input', {type: 'search', id: 'find', placeholder: 'binance btc', autocomplete: 'off', spellcheck: 'false',
        value: parameters.get('find') || '', oninput: () => show()});
    const gapsOnly = h('input', {type: 'checkbox', id: 'gaps-only', onchange: () => show()});
    const shown = h('p.facts', {role: 'status'});
    const table = new Table({
        label: 'Markets', height: 26, sort: '-trades', key: (m) => `${m.venue}/${m.symbol}`, empty: 'no such market',
        columns: [
            {key: 'venue', head: 'Venue', width: 'm', value: (m) => m.venue, sort: (m) => `${m.venue}/${m.symbol}`},
            {key: 'symbol', head: 'Symbol', width: 'l', value: (m) => ({text: m.symbol, href: symbolLink(m.venue, m.symbol)}), sort: (m) => m.symbol},
            {key: 'age', head: 'Newest trade', cls: 'num', width: 'age', title: 'by the venue’s clock, of what is in the lake', sort: (m) => m.newest_ms === null ? null : -m.newest_ms,
                value: (m, now) => ({text: ago(m.newest_ms, now), cls: m.newest_ms !== null && now - m.newest_ms > QUIET_MS ? 'dim' : ''})},
            {key: 'price', head: 'Last price', cls: 'num', width: 'price', value: (m) => price(m.price), sort: (m) => m.price ? Number(m.price) : null, downFirst: true},
            {key: 'trades', head: 'Trades today', cls: 'num phone-off', width: 'm', title: 'of the day (UTC) of the newest trade',
                value: (m) => count(m.day_trades), sort: (m) => m.day_trades ?? null, downFirst: true},
            {key: 'gaps', head: 'Open gaps', cls: 'num', width: 's', value: (m) => ({text: count(m.open_gaps), cls: m.open_gaps ? 'bad' : 'dim'}),
                sort: (m) => m.open_gaps, downFirst: true},
        ],
    });
    const section = panel('Markets', 'lake',
        h('div.tools', {}, h('label', {for: 'find'}, 'Find'), field, h('label.check', {for: 'gaps-only'}, gapsOnly, ' with open gaps only'), shown), table.node);

    function show() {
        const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
        const found = data.markets.filter((m) => {
            if (gapsOnly.checked && !m.open_gaps) return false;
            const name = `${m.venue} ${m.symbol}`.toLowerCase();
            return wanted.every((w) => name.includes(w));
        });
        setText(shown, found.length === data.markets.length ? `${count(found.length)} markets` : `${count(found.length)} of ${count(data.markets.length)} markets`);
        table.update(found, data.now_ms);
    }
    return {
        node: h('div.markets', {}, h('h1.hidden', {}, 'Markets'), section),
        async refresh(get) {
            const answer = await get('markets');
            data = {...answer, markets: answer.markets || []};
            section.setHealth(data.sources, data.now_ms, healthText);
            show();
        },
    };
}
