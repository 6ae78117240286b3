"""A recording made worse: real lines with trades taken out, late, doubled, swapped and spoilt, and what must come of it.

Everything is drawn from a seed, so that a failure can be had again.
"""
import gzip
import json
import random
from dataclasses import dataclass, field
from decimal import Decimal

NS = 10**9
LATER_S = (10, 10, 10, 70)  # past the lateness of a second, and of a minute


@dataclass
class Derived:
    path: object
    trades: dict = field(default_factory=dict)  # id -> (price, size, side, venue time in ms): what the lake must hold
    missing: set = field(default_factory=set)   # ids that never came
    late: set = field(default_factory=set)      # ids that came long after their neighbours
    duplicates: int = 0
    dead: dict = field(default_factory=dict)    # reason -> raw frames, in order


def read_lines(path, count=None):
    lines = []
    for line in gzip.open(path, 'rt'):
        stamp, frame = line.rstrip('\n').split(' ', 1)
        lines.append((int(stamp), frame))
        if len(lines) == count:
            break
    return lines


def trade_of(frame):
    data = json.loads(frame, parse_float=Decimal).get('data', {})
    return data if data.get('e') == 'trade' else None


def spoilt(frame, data, how):
    """A frame that cannot be taken, and the reason that it is refused for."""
    if how == 0:
        return 'malformed', frame[:len(frame) // 2]
    if how == 1:
        return 'malformed', frame.replace(f'"p":"{data["p"]}"', '"p":"12,5"')
    if how == 2:
        return 'inexact', frame.replace(f'"p":"{data["p"]}"', '"p":"0.1234567890123456789012345"')
    if how == 3:
        return 'conflict', frame.replace(f'"p":"{data["p"]}"', '"p":"1.5"')
    return 'future', frame.replace(f'"T":{data["T"]}', f'"T":{data["T"] + 3600_000}').replace(
        f'"t":{data["t"]}', f'"t":{data["t"] + 10**9}')


def missing_ranges(ids):
    """Sorted numbers as closed ranges."""
    out = []
    for i in sorted(ids):
        if out and out[-1][1] == i - 1:
            out[-1][1] = i
        else:
            out.append([i, i])
    return [tuple(r) for r in out]


def derive(source, path, seed, count=None):
    rng = random.Random(seed)
    result = Derived(path)
    lines = read_lines(source, count)
    trades = [(i, d) for i, (_, f) in enumerate(lines) if (d := trade_of(f))]
    end = lines[-1][0]
    # The ends stay as they are, so that each hole has neighbours and all that is late arrives.
    kept = [(i, d) for i, d in trades[100:] if lines[i][0] < end - (LATER_S[-1] + 5) * NS]
    runs = {i for start in rng.sample(range(len(kept) - 60), 2) for i, _ in kept[start:start + 40]}
    put = [[stamp, 0, frame] for stamp, frame in lines]
    for i, d in trades:
        result.trades[d['t']] = (Decimal(d['p']), Decimal(d['q']), 'sell' if d['m'] else 'buy', d['T'])
    last_seen = None
    for i, d in kept:
        stamp, _, frame = put[i]
        chance = rng.random()
        if i in runs or chance < 0.03:
            put[i] = None
            result.missing.add(d['t'])
            del result.trades[d['t']]
        elif chance < 0.05:
            put[i] = [stamp + rng.choice(LATER_S) * NS, 0, frame]
            result.late.add(d['t'])
        elif chance < 0.07:
            put.append([stamp + rng.choice((0, 5 * NS)), 1, frame])
            result.duplicates += 1
        elif chance < 0.09:
            reason, bad = spoilt(frame, d, rng.randrange(5))
            put.append([stamp, 1, bad])
            result.dead.setdefault(reason, []).append(bad)
        elif chance < 0.12 and last_seen is not None and put[last_seen]:
            put[i][0], put[last_seen][0] = put[last_seen][0], put[i][0]  # each comes at the other's time
        last_seen = i if chance >= 0.09 else None  # a copy must not overtake its original
    put = sorted((p for p in put if p), key=lambda p: p[:2])  # stable: equal times stay in their order
    assert put[-1][0] == end
    with gzip.open(path, 'wt', compresslevel=1) as out:
        out.writelines(f'{stamp} {frame}\n' for stamp, _, frame in put)
    return result
