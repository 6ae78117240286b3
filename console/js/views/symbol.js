// A symbol: its candles with what is missing marked, its gaps, its newest trades.
import {Table, h, panel, setClass, setText} from '../dom.js';
import {ago, clock, count, plural, price, time} from '../format.js';
import {healthText} from '../health.js';
import {gapColumns} from './gapcolumns.js';
import {Chart} from '../chart.js';

const TIMEFRAMES = ['1s', '1m', '5m', '15m', '1h', '4h', '1d'];
const SHOWN = 300;

export function symbol({parts, parameters, again}) {
    const [venue, name] = [parts[0] || '', parts.slice(1).join('/')];
    let timeframe = TIMEFRAMES.includes(parameters.get('tf')) ? parameters.get('tf') : '1m';
    const chart = new Chart();
    const facts = h('p.facts', {role: 'status'});
    const key = h('p.key', {}, h('span.up', {}, 'rising'), h('span.down', {}, 'falling'), h('span.partial', {}, 'incomplete: an open gap meets it'), h('span.gap', {}, 'gap'));
    const buttons = TIMEFRAMES.map((tf) => h('button', {type: 'button', 'aria-pressed': String(tf === timeframe), onclick: () => choose(tf)}, tf));
    const gapTable = new Table({label: 'Gaps', columns: gapColumns(false), key: (g) => g.gap_id, empty: 'no gaps'});
    const trades = new Table({
        label: 'Newest trades', key: (t) => t.key, empty: 'no trades of the last hour in the lake',
        columns: [
            {key: 'time', head: 'Time (UTC)', width: 's', value: (t, now) => ({text: clock(t.time_ms, now), title: `${time(t.time_ms)}${t.trade_id ? `, trade ${t.trade_id}` : ''}`})},
            {key: 'side', head: 'Side', width: 'xs', value: (t) => ({text: t.side, cls: {buy: 'good', sell: 'sell'}[t.side] || 'dim'})},
            {key: 'price', head: 'Price', cls: 'num', width: 's', value: (t) => price(t.price)},
            {key: 'size', head: 'Size', cls: 'num', width: 's', value: (t) => t.size},
        ],
    });
    const candles = panel('Candles', 'lake', h('div.tools', {role: 'group', 'aria-label': 'Timeframe'}, buttons, facts), chart.node, key);
    const gapPanel = panel('Gaps', 'store', gapTable.node);
    const tradePanel = panel('Newest trades', 'lake', trades.node);
    const heading = h('h1', {}, h('a', {href: '#/markets'}, 'Markets'), ` / ${venue} / ${name}`);

    function choose(tf) {
        timeframe = tf;
        buttons.forEach((b, i) => b.setAttribute('aria-pressed', String(TIMEFRAMES[i] === tf)));
        history.replaceState(null, '', `#/symbol/${encodeURIComponent(venue)}/${encodeURIComponent(name)}?tf=${tf}`);
        chart.clear();
        again();
    }

    function describe(data) {
        const last = data.candles.at(-1);
        const partial = data.candles.filter((c) => !c.complete).length;
        if (!last) return `no ${timeframe} candles in the range shown`;
        return `last close ${price(last.close)} (opened ${ago(last.open_time_ms, data.now_ms)}) · ${plural(data.candles.length, 'candle', 'candles')}, ${count(partial)} incomplete`;
    }
    return {
        node: h('div', {}, heading, candles, h('div.two', {}, gapPanel, tradePanel)),
        stop: () => chart.stop(),
        async refresh(get) {
            const asked = timeframe;
            const [data, all, newest] = await Promise.all([
                get('candles', {venue, symbol: name, timeframe: asked, limit: SHOWN}),
                get('gaps', {venue, symbol: name, limit: 200}),
                get('trades', {venue, symbol: name, limit: 30}),
            ]);
            if (asked !== timeframe) return;
            setText(facts, describe(data));
            setClass(facts, 'warn', data.candles.some((c) => !c.complete));
            chart.update(data);
            gapPanel.setHealth(all.sources, all.now_ms, healthText);
            gapTable.update(all.gaps, all.now_ms);
            trades.update(newest.trades.map((t, i) => ({...t, key: t.trade_id || `${t.time_ms}/${i}`})), newest.now_ms);
        },
    };
}
