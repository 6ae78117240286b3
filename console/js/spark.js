// A small line of rates, drawn by uPlot in the colours of the page.
import {h} from './dom.js';

/* global uPlot */

function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export class Spark {
    constructor() {
        this.node = h('div.spark', {'aria-hidden': 'true'});
        this.scheme = matchMedia('(prefers-color-scheme: dark)');
        this.redraw = () => {
            this.plot?.destroy();
            this.plot = null;
            if (this.data) this.draw();
        };
        this.scheme.addEventListener('change', this.redraw);
        this.observer = new ResizeObserver(() => this.plot?.setSize(this.size()));
        this.observer.observe(this.node);
    }

    size() {
        return {width: Math.max(40, this.node.clientWidth), height: 44};
    }

    draw() {
        const line = colour('--line');
        this.plot = new uPlot({
            ...this.size(),
            cursor: {show: false}, legend: {show: false}, padding: [3, 0, 1, 0],
            axes: [{show: false}, {show: false}],
            scales: {x: {time: false}, y: {range: (u, low, high) => [0, Math.max(1, high || 0) * 1.05]}},
            series: [{}, {stroke: line, width: 1.5, fill: `${line}22`, points: {show: false}}],
        }, this.data, this.node);
    }

    update(history, stepMs) {
        const most = 150;
        const values = history.slice(-most);
        // Always the same span, so that a young history does not stretch.
        const filled = [...Array(most - values.length).fill(null), ...values];
        this.data = [filled.map((_, i) => (i - most) * stepMs / 1000), filled];
        if (this.plot) this.plot.setData(this.data);
        else if (this.node.isConnected) this.draw();
    }

    stop() {
        this.observer.disconnect();
        this.scheme.removeEventListener('change', this.redraw);
        this.plot?.destroy();
    }
}
