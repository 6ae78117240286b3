// Candles by Lightweight Charts. Its values are numbers of the browser: only pixels come of them, the texts stay exact.
import {h} from './dom.js';

/* global LightweightCharts */

const MOST_POINTS = 3000;

function colours() {
    const style = getComputedStyle(document.documentElement);
    const of = (name) => style.getPropertyValue(name).trim();
    return {text: of('--text'), dim: of('--dim'), grid: of('--rule'), back: of('--panel'), up: of('--good'), down: of('--bad'), partial: of('--partial'), gap: of('--gap')};
}

function inGap(gaps, from, to) {
    return gaps.some((g) => g.from_ms !== null && g.from_ms < to && (g.to_ms === null || g.to_ms >= from));
}

export class Chart {
    constructor() {
        this.node = h('div.chart', {role: 'img', 'aria-label': 'Candles'});
        this.scheme = matchMedia('(prefers-color-scheme: dark)');
        this.recolour = () => {
            if (!this.chart) return;
            this.chart.remove();
            this.chart = null;
            if (this.data) this.update(this.data);
        };
        this.scheme.addEventListener('change', this.recolour);
    }

    make() {
        const c = colours();
        this.colours = c;
        this.chart = LightweightCharts.createChart(this.node, {
            autoSize: true,
            layout: {background: {type: 'solid', color: c.back}, textColor: c.text, fontSize: 11, attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily},
            grid: {vertLines: {color: c.grid}, horzLines: {color: c.grid}},
            rightPriceScale: {borderColor: c.grid, scaleMargins: {top: 0.06, bottom: 0.22}},
            timeScale: {borderColor: c.grid, timeVisible: true, secondsVisible: false, rightOffset: 2},
            crosshair: {mode: 0},
        });
        this.gaps = this.chart.addSeries(LightweightCharts.HistogramSeries, {priceScaleId: 'gaps', color: c.gap, lastValueVisible: false, priceLineVisible: false});
        this.chart.priceScale('gaps').applyOptions({scaleMargins: {top: 0, bottom: 0}, visible: false});
        this.volume = this.chart.addSeries(LightweightCharts.HistogramSeries, {priceScaleId: 'volume', priceFormat: {type: 'volume'}, lastValueVisible: false, priceLineVisible: false});
        this.chart.priceScale('volume').applyOptions({scaleMargins: {top: 0.84, bottom: 0}, visible: false});
        this.candles = this.chart.addSeries(LightweightCharts.CandlestickSeries, {upColor: c.up, downColor: c.down, wickUpColor: c.up, wickDownColor: c.down, borderVisible: false});
        this.fitted = false;
    }

    // Every bucket from the first to the last, so that what is missing takes room.
    points(data) {
        const candles = new Map(data.candles.map((c) => [c.open_time_ms, c]));
        const first = data.candles[0].open_time_ms;
        const last = data.candles.at(-1).open_time_ms;
        const step = data.unit_ms;
        if ((last - first) / step > MOST_POINTS) return data.candles.map((c) => [c.open_time_ms, c]);
        const out = [];
        for (let t = first; t <= last; t += step) out.push([t, candles.get(t)]);
        return out;
    }

    update(data) {
        this.data = data;
        if (!this.chart) this.make();
        if (data.candles.length === 0) {
            for (const s of [this.candles, this.volume, this.gaps]) s.setData([]);
            return;
        }
        const c = this.colours;
        const points = this.points(data);
        const decimals = Math.max(...data.candles.slice(-50).map((x) => (x.close.split('.')[1] || '').length), 0);
        this.candles.applyOptions({priceFormat: {type: 'price', precision: decimals, minMove: 10 ** -decimals}});
        this.candles.setData(points.map(([t, x]) => {
            if (!x) return {time: t / 1000};
            const point = {time: t / 1000, open: Number(x.open), high: Number(x.high), low: Number(x.low), close: Number(x.close)};
            return x.complete ? point : {...point, color: c.partial, wickColor: c.partial};
        }));
        this.volume.setData(points.map(([t, x]) => x && x.base_volume !== null
            ? {time: t / 1000, value: Number(x.base_volume), color: `${x.complete ? c.dim : c.partial}66`} : {time: t / 1000}));
        const open = data.gaps.filter((g) => g.state !== 'repaired' && g.stream !== 'quote');
        this.gaps.setData(points.map(([t]) => inGap(open, t, t + data.unit_ms) ? {time: t / 1000, value: 1} : {time: t / 1000}));
        this.node.dataset.gaps = points.filter(([t]) => inGap(open, t, t + data.unit_ms)).length;
        this.node.dataset.candles = data.candles.length;
        this.chart.timeScale().applyOptions({secondsVisible: data.unit_ms < 60000});
        if (!this.fitted) {
            this.chart.timeScale().setVisibleLogicalRange({from: Math.max(-2, points.length - 150), to: points.length + 2});
            this.fitted = true;
        }
    }

    clear() {
        this.fitted = false;
        this.data = null;
    }

    stop() {
        this.scheme.removeEventListener('change', this.recolour);
        this.chart?.remove();
    }
}
