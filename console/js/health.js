// The state of a source in words.
import {ago, duration, none} from './format.js';

const unseen = 'not seen yet';

export function healthText(s, nowMs) {
    if (s.state === 'off') return 'not configured here';
    if (s.state === 'waiting') return 'looking…';
    if (s.state === 'failing') {
        const since = s.since_ms === null ? '' : ` for ${duration(nowMs - s.since_ms)}`;
        const seen = s.seen_ms === null ? unseen : `last seen ${ago(s.seen_ms, nowMs)}`;
        return `failing${since}: ${s.error || none} (${seen})`;
    }
    return `seen ${ago(s.seen_ms, nowMs)}`;
}
