// Elements, and tables whose rows are kept and only changed where their text did: nothing jumps, nothing flickers.

export function h(name, attributes = {}, ...children) {
    const [tag, ...classes] = name.split('.');
    const node = document.createElement(tag || 'div');
    if (classes.length) node.className = classes.join(' ');
    for (const [key, value] of Object.entries(attributes)) {
        if (value === null || value === undefined || value === false) continue;
        if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
        else node.setAttribute(key, value === true ? '' : value);
    }
    node.append(...children.flat().filter((c) => c !== null && c !== undefined));
    return node;
}

export function setText(node, text) {
    const wanted = text === null || text === undefined ? '' : String(text);
    if (node.textContent !== wanted) node.textContent = wanted;
}

export function setClass(node, name, on) {
    if (node.classList.contains(name) !== Boolean(on)) node.classList.toggle(name, Boolean(on));
}

export function setTitle(node, text) {
    if (text) {
        if (node.title !== text) node.title = text;
    } else if (node.title) {
        node.removeAttribute('title');
    }
}

// What a cell shows: text, or {text, cls, href, title}.
function setCell(cell, value) {
    const shown = value !== null && typeof value === 'object' ? value : {text: value};
    const cls = `${cell.dataset.base}${shown.cls ? ` ${shown.cls}` : ''}`.trim();
    if (cell.className !== cls) cell.className = cls;
    let target = cell;
    if (shown.href) {
        target = cell.firstElementChild;
        if (!target || target.tagName !== 'A') {
            target = h('a');
            cell.replaceChildren(target);
        }
        if (target.getAttribute('href') !== shown.href) target.setAttribute('href', shown.href);
    }
    setText(target, shown.text);
    setTitle(cell, shown.title);
}

// columns: {key, head, cls, width, value(row, nowMs), sort(row), title}; key(row) tells rows apart.
export class Table {
    constructor({columns, key, label, empty = 'nothing yet', sort = null, height = 0, rowClass = null}) {
        Object.assign(this, {columns, key, empty, rowClass, height});
        this.order = sort ? {key: sort.replace('-', ''), down: sort.startsWith('-')} : null;
        this.rows = new Map();
        this.body = h('tbody');
        this.heads = columns.map((c) => this.makeHead(c));
        const table = h('table.grid', {'aria-label': label}, h('thead', {}, h('tr', {}, this.heads)), this.body);
        this.blank = h('p.blank', {hidden: true}, empty);
        this.node = h(height ? 'div.table.tall' : 'div.table', {tabindex: height ? 0 : null}, table, this.blank);
        this.data = [];
        this.nowMs = Date.now();
        if (height) {
            this.before = h('tr.space', {'aria-hidden': 'true'}, h('td'));
            this.after = h('tr.space', {'aria-hidden': 'true'}, h('td'));
            this.node.addEventListener('scroll', () => this.draw(), {passive: true});
            new ResizeObserver(() => this.draw()).observe(this.node);
        }
    }

    makeHead(column) {
        const cls = `${column.cls || ''}${column.width ? ` w-${column.width}` : ''}`;
        const attributes = {scope: 'col', class: cls, title: column.title || null};
        if (!column.sort) return h('th', attributes, column.head);
        const button = h('button', {type: 'button', onclick: () => this.sortBy(column)}, column.head);
        return h('th', {...attributes, 'aria-sort': 'none'}, button);
    }

    sortBy(column) {
        const same = this.order && this.order.key === column.key;
        this.order = {key: column.key, down: same ? !this.order.down : Boolean(column.downFirst)};
        this.draw();
    }

    update(data, nowMs) {
        this.data = data;
        this.nowMs = nowMs;
        this.draw();
    }

    sorted() {
        this.columns.forEach((c, i) => {
            if (!c.sort) return;
            const mine = this.order && this.order.key === c.key;
            const wanted = mine ? (this.order.down ? 'descending' : 'ascending') : 'none';
            if (this.heads[i].getAttribute('aria-sort') !== wanted) this.heads[i].setAttribute('aria-sort', wanted);
        });
        const column = this.order && this.columns.find((c) => c.key === this.order.key);
        if (!column) return this.data;
        const sign = this.order.down ? -1 : 1;
        const keyed = this.data.map((row) => [column.sort(row), row]);
        keyed.sort(([a, x], [b, y]) => {
            // What is not known stands at the end, whichever way.
            if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
            if (b === null || b === undefined) return -1;
            if (a < b) return -sign;
            if (a > b) return sign;
            return this.key(x) < this.key(y) ? -1 : 1;
        });
        return keyed.map(([, row]) => row);
    }

    draw() {
        const all = this.sorted();
        let shown = all;
        if (this.height) {
            const first = Math.max(0, Math.floor(this.node.scrollTop / this.height) - 8);
            const room = Math.ceil(this.node.clientHeight / this.height) + 24;
            shown = all.slice(first, first + room);
            this.before.firstChild.style.height = `${first * this.height}px`;
            this.after.firstChild.style.height = `${Math.max(0, all.length - first - shown.length) * this.height}px`;
        }
        const kept = new Set();
        const nodes = shown.map((row) => {
            const id = this.key(row);
            kept.add(id);
            let node = this.rows.get(id);
            if (!node) {
                node = h('tr', {}, this.columns.map((c) => h('td', {'data-base': c.cls || ''})));
                node.dataset.key = id;
                this.rows.set(id, node);
            }
            this.columns.forEach((c, i) => setCell(node.children[i], c.value(row, this.nowMs)));
            if (this.rowClass) node.className = this.rowClass(row) || '';
            return node;
        });
        for (const [id, node] of this.rows) {
            if (kept.has(id)) continue;
            node.remove();
            this.rows.delete(id);
        }
        const wanted = this.height ? [this.before, ...nodes, this.after] : nodes;
        wanted.forEach((node, i) => {
            if (this.body.children[i] !== node) this.body.insertBefore(node, this.body.children[i] || null);
        });
        this.blank.hidden = all.length > 0;
    }
}

// A heading with a state of its source: what fails is grey, and says since when and why.
export function panel(title, source, ...children) {
    const state = h('p.state', {role: 'status'});
    const node = h('section.panel', {}, h('div.bar', {}, h('h2', {}, title), state), ...children);
    node.dataset.source = source;
    node.setHealth = (sources, nowMs, text) => {
        const s = sources && sources[source];
        setClass(node, 'failing', s && s.state === 'failing');
        setClass(node, 'off', s && s.state === 'off');
        setText(state, s ? text(s, nowMs) : '');
    };
    return node;
}
