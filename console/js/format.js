// Numbers, sizes and times as text. Every one with its unit.

const grouped = new Intl.NumberFormat('en-US');
const NONE = '–';

export const none = NONE;

export function count(n) {
    return n === null || n === undefined ? NONE : grouped.format(n);
}

export function withUnit(n, unit) {
    return n === null || n === undefined ? NONE : `${grouped.format(n)} ${unit}`;
}

export function rate(n) {
    return n === null || n === undefined ? NONE : `${grouped.format(n)}/s`;
}

export function bytes(n) {
    if (n === null || n === undefined) return NONE;
    const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
    let i = 0;
    while (n >= 1000 && i < units.length - 1) {
        n /= 1000;
        i++;
    }
    return `${i === 0 ? n : n.toFixed(n < 10 ? 2 : n < 100 ? 1 : 0)} ${units[i]}`;
}

export function duration(ms) {
    if (ms === null || ms === undefined) return NONE;
    if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
    const s = ms / 1000;
    if (s < 10) return `${s.toFixed(1)} s`;
    if (s < 120) return `${Math.floor(s)} s`;
    if (s < 7200) return `${Math.floor(s / 60)} min`;
    if (s < 172800) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
    return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}

export function ago(ms, nowMs) {
    if (ms === null || ms === undefined) return NONE;
    const age = Math.max(0, nowMs - ms);
    return `${age < 1000 ? `${(age / 1000).toFixed(1)} s` : duration(age)} ago`;
}

export function time(ms) {
    return ms === null || ms === undefined ? NONE : new Date(ms).toISOString().replace('T', ' ').replace(/\.?0*Z$/, ' UTC');
}

// "12:03:04", with the day in front where it is not today's.
export function clock(ms, nowMs) {
    if (ms === null || ms === undefined) return NONE;
    const text = new Date(ms).toISOString();
    const today = new Date(nowMs).toISOString().slice(0, 10);
    return (text.slice(0, 10) === today ? '' : `${text.slice(0, 10)} `) + text.slice(11, 19);
}

export function plural(n, one, many) {
    return `${grouped.format(n)} ${n === 1 ? one : many}`;
}

// A price as the venue gave it, with groups of three before the point.
export function price(text) {
    if (!text) return NONE;
    const [whole, rest] = text.split('.');
    return whole.replace(/\B(?=(\d{3})+$)/g, ',') + (rest ? `.${rest}` : '');
}
