"""cryptofeed's handlers over recorded frames: events a CPU second, one line of JSON. Runs in the environment of the peers.

    cryptofeed_bench.py RECORDINGS [SECONDS]

No socket and no store: each frame goes to the venue's message_handler, whose callbacks do nothing; at least SECONDS (2) of CPU
a set. Binance: cryptofeed knows no `trade`, so that the spot trades are renamed to aggTrade (`t` to `a`) before the clock starts.
"""

import asyncio
import gzip
import json
import pathlib
import re
import sys
import time
import types

from cryptofeed.defines import TICKER, TRADES
from cryptofeed.exchanges import Binance, Kraken
from cryptofeed.symbols import Symbols

CONFIG = {"log": {"disabled": True, "filename": "", "level": "ERROR"}}


def binance_frames(root):
    frames = []
    for name in ("btcusdt_20240808.gz", "btcusdt_20240809.gz"):
        for line in gzip.open(root / "hftbacktest" / "binance-spot" / name, "rt"):
            frame = line.split(" ", 1)[1].strip()
            if "@bookTicker" in frame:
                frames.append(frame)
            elif "@trade" in frame:
                frame = frame.replace("@trade", "@aggTrade").replace('"e":"trade"', '"e":"aggTrade"')
                frames.append(re.sub(r'"t":(\d+)', r'"a":\1,"f":\1,"l":\1', frame))
    return frames, {"BTC-USDT": "BTCUSDT"}


def kraken_frames(root):
    frames, symbols = [], {}
    for name, channel in (("KRAKEN.ws.48.0", '"trade"'), ("KRAKEN.ws.49.0", '"ticker"')):
        for line in open(root / "cryptofeed" / "KRAKEN" / name):
            frame = line.split(": ", 1)[-1].strip()
            if line.startswith("wss://") or f",{channel}," not in frame:
                continue
            frames.append(frame)
            pair = json.loads(frame)[-1]
            symbols[pair.replace("/", "-").replace("XBT", "BTC")] = pair
    return frames, symbols


async def measure(exchange, frames, symbols, seconds):
    Symbols.set(exchange.id, symbols, {"instrument_type": {}})
    count = 0

    async def take(event, receipt):
        nonlocal count
        count += 1

    feed = exchange(config=CONFIG, symbols=list(symbols), channels=[TRADES, TICKER], callbacks={TRADES: take, TICKER: take})
    connection = types.SimpleNamespace(uuid="bench", subscription=feed.subscription)
    for frame in frames:
        await feed.message_handler(frame, connection, 1.0)
    per_pass, count, passes = count, 0, 0
    start = time.process_time()
    while time.process_time() - start < seconds:
        for frame in frames:
            await feed.message_handler(frame, connection, 1.0)
        passes += 1
    spent = time.process_time() - start
    assert count == passes * per_pass
    return {"frames": len(frames), "events": per_pass, "events_per_cpu_second": round(count / spent)}


def main():
    root = pathlib.Path(sys.argv[1])
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 2.0
    print(json.dumps({name: asyncio.run(measure(exchange, *frames(root), seconds))
                      for name, exchange, frames in (("binance spot", Binance, binance_frames),
                                                     ("kraken v1", Kraken, kraken_frames))}))


if __name__ == "__main__":
    main()
