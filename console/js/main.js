// The page: which view stands, asked again every two seconds while the tab is seen.
import {Refused, ask, hasToken, setToken} from './api.js';
import {h, setClass, setText} from './dom.js';
import {duration} from './format.js';
import {flow} from './views/flow.js';
import {gaps} from './views/gaps.js';
import {jobs} from './views/jobs.js';
import {kafka} from './views/kafka.js';
import {lake} from './views/lake.js';
import {markets} from './views/markets.js';
import {schemas} from './views/schemas.js';
import {symbol} from './views/symbol.js';

const EVERY_MS = 2000;
const views = {flow, markets, gaps, kafka, schemas, lake, jobs, symbol};
const tabs = ['flow', 'markets', 'gaps', 'kafka', 'schemas', 'lake', 'jobs'];
const titles = {flow: 'Flow', markets: 'Markets', gaps: 'Gaps', kafka: 'Kafka', schemas: 'Schemas', lake: 'Lake', jobs: 'Jobs'};

const main = document.querySelector('main');
const nav = document.querySelector('nav');
const link = document.getElementById('link');
const links = new Map(tabs.map((t) => [t, h('a', {href: `#/${t}`}, titles[t])]));
nav.append(...links.values());

let current = null;
let timer = 0;
let asking = null;
let failingSince = 0;

// "#/symbol/binance/BTC-USDT?tf=1m" as name, parts and parameters.
function route() {
    const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
    const [name, ...parts] = path.split('/').map(decodeURIComponent);
    return {name: views[name] ? name : 'flow', parts, parameters: new URLSearchParams(query || '')};
}

function showLink(error) {
    setClass(link, 'bad', Boolean(error));
    if (!error) {
        failingSince = 0;
        setText(link, 'live');
        return;
    }
    failingSince ||= Date.now();
    const words = error instanceof TypeError ? 'the program does not answer' : error.message;
    setText(link, `${words}, for ${duration(Date.now() - failingSince)}`);
}

function askForToken() {
    const field = h('input', {type: 'password', id: 'token', autocomplete: 'off', required: true});
    const wrong = h('p.bad', {role: 'alert'}, hasToken() ? 'This token was refused.' : '');
    const form = h('form.token', {
        onsubmit: (event) => {
            event.preventDefault();
            setToken(field.value);
            open();
        },
    }, h('h1', {}, 'A token is needed'), h('p', {}, 'It is the setting serve.token. It is kept in this tab until it is closed.'),
    h('label', {for: 'token'}, 'Token'), field, h('button', {type: 'submit'}, 'Open'), wrong);
    current?.stop?.();
    current = null;
    main.replaceChildren(form);
    setText(link, 'waiting for a token');
    field.focus();
}

async function refresh() {
    clearTimeout(timer);
    if (!current || document.hidden) return;
    const mine = current;
    asking?.abort();
    asking = new AbortController();
    const {signal} = asking;
    let error = null;
    try {
        await mine.refresh((path, parameters) => ask(path, parameters, signal));
    } catch (e) {
        error = e;
    }
    if (signal.aborted || mine !== current) return;
    if (error instanceof Refused) {
        askForToken();
        return;
    }
    if (error && !(error instanceof TypeError) && !error.message) throw error;
    setClass(main, 'stale', Boolean(error));
    showLink(error);
    timer = setTimeout(refresh, mine.everyMs || EVERY_MS);
}

function open() {
    const {name, parts, parameters} = route();
    for (const [t, a] of links) {
        const here = t === name || (t === 'markets' && name === 'symbol');
        if (here) a.setAttribute('aria-current', 'page');
        else a.removeAttribute('aria-current');
    }
    current?.stop?.();
    current = views[name]({parts, parameters, again: refresh});
    document.title = `${titles[name] || parts[1] || name} – ticklake`;
    main.replaceChildren(current.node);
    refresh();
}

window.addEventListener('hashchange', open);
document.addEventListener('visibilitychange', refresh);
open();
