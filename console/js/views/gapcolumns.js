// Columns of a list of gaps, for the page of all and for a symbol's own.
import {ago, clock, count, duration, none, time} from '../format.js';
import {symbolLink} from './markets.js';

function span(g, now) {
    if (g.from_ms === null) return none;
    const to = g.to_ms === null ? 'now' : clock(g.to_ms, now);
    return `${clock(g.from_ms, now)} – ${to}`;
}

export function gapColumns(withNames) {
    const names = [
        {key: 'venue', head: 'Venue', width: 'm', value: (g) => g.venue, sort: (g) => g.venue},
        {key: 'symbol', head: 'Symbol', width: 'l', value: (g) => ({text: g.symbol, href: symbolLink(g.venue, g.symbol)}), sort: (g) => g.symbol},
    ];
    return [
        ...(withNames ? names : []),
        {key: 'state', head: 'State', width: withNames ? 's' : 'xs', value: (g) => ({text: g.state, cls: {open: 'bad', repaired: 'good'}[g.state] || 'warn'}), sort: (g) => g.state},
        {key: 'kind', head: 'Kind', width: 'xs', value: (g) => g.kind},
        {key: 'stream', head: 'Stream', width: withNames ? 's' : 'xs', value: (g) => g.stream},
        {key: 'span', head: 'From – to (UTC)', width: withNames ? 'l' : 'span', value: (g, now) => ({text: span(g, now), title: `${time(g.from_ms)} – ${time(g.to_ms)}`}), sort: (g) => g.from_ms},
        {key: 'lasted', head: 'Lasted', cls: 'num', width: 'xs', value: (g, now) => g.from_ms === null ? none : duration((g.to_ms ?? now) - g.from_ms)},
        {key: 'missing', head: 'Missing', cls: 'num', width: 'xs', value: (g) => count(g.missing), sort: (g) => g.missing, downFirst: true},
        ...(withNames ? [{key: 'recovered', head: 'Recovered', cls: 'num', width: 's', value: (g) => count(g.recovered)}] : []),
        {key: 'cause', head: 'Cause', width: withNames ? 'm' : 's', value: (g) => g.cause},
        {key: 'opened', head: 'Found', cls: 'num', width: 's', value: (g, now) => ({text: ago(g.opened_ms, now), title: time(g.opened_ms)}), sort: (g) => g.opened_ms, downFirst: true},
        {key: 'closed', head: 'Closed', cls: 'num', width: 's', value: (g, now) => ({text: ago(g.closed_ms, now), title: g.closed_ms === null ? '' : time(g.closed_ms)}), sort: (g) => g.closed_ms, downFirst: true},
    ];
}
