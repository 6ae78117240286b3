"""The console in Chromium: every view with data, embedded and distributed; a broker lost and back, a gap opened and closed, the token.

Screenshots are kept in build/screenshots (SCREENSHOTS names another folder).
"""
import json
import os
import pathlib
import re
import shutil
import urllib.error
import urllib.request

import pytest

from conftest import ROOT
from distributed import flow, running_stack  # noqa: F401  (fixtures)
from test_live import Live, Simulator, wait_for, write_config

SCREENSHOTS = pathlib.Path(os.environ.get('SCREENSHOTS', ROOT / 'build' / 'screenshots'))
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'))), None)
PAGES = ('flow', 'markets', 'gaps', 'kafka', 'schemas', 'lake', 'jobs')
TOKEN = 't0ken-of-the-console'
SECONDS = 30_000  # of Playwright's waiting, in ms


@pytest.fixture(scope='session')
def chromium():
    from playwright.sync_api import sync_playwright
    assert CHROMIUM, 'no Chromium: scripts/setup test installs it'
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=['--no-sandbox', '--disable-gpu'])
        yield browser
        browser.close()


class Tab:
    """A page that fails on a console error, an exception, or a request to anybody but its server."""

    def __init__(self, chromium, port, name, **options):
        self.base, self.name, self.wrong = f'http://127.0.0.1:{port}', name, []
        self.context = chromium.new_context(viewport={'width': 1280, 'height': 800}, **options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(SECONDS)
        self.page.on('console', lambda m: self.wrong.append(m.text) if m.type in ('error', 'warning') else None)
        self.page.on('pageerror', lambda e: self.wrong.append(str(e)))
        self.page.on('request', lambda r: None if r.url.startswith((self.base, 'data:')) else self.wrong.append(f'asked {r.url}'))

    def open(self, view, selector):
        self.page.goto(f'{self.base}/#/{view}')
        self.page.wait_for_selector(selector)
        return self.page

    def shoot(self, what):
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f'{self.name}-{what}.png')

    def cells(self, table):
        """Texts of the rows of the table with that label."""
        return self.page.eval_on_selector_all(f'table[aria-label="{table}"] tbody tr:not(.space)',
                                              'rows => rows.map(r => [...r.cells].map(c => c.textContent))')

    def until(self, expression, seconds=SECONDS / 1000):
        """Asked from outside again and again: the page's own policy forbids it to evaluate texts."""
        wait_for(lambda: self.page.evaluate(expression), seconds, expression)

    def close(self):
        """Before its server ends, or that is an error on its console too."""
        self.context.close()
        assert not self.wrong, self.wrong


@pytest.fixture
def tab(chromium):
    made = []

    def make(port, name, **options):
        made.append(Tab(chromium, port, name, **options))
        return made[-1]

    yield make
    for t in made:
        t.close()


def get(port, path, token=None, headers=None):
    """Status, headers and body."""
    request = urllib.request.Request(f'http://127.0.0.1:{port}{path}', headers={
        **(headers or {}), **({'authorization': f'Bearer {token}'} if token else {})})
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def page_json(port, path, token=None):
    status, _, body = get(port, f'/api/v1/{path}', token)
    assert status == 200, (path, status, body)
    return json.loads(body)


def assert_described(port, path, answer):
    """The answer is what the OpenAPI file says of that page."""
    from openapi_schema_validator import OAS30Validator
    document = json.loads(get(port, '/api/v1/openapi.json')[2])
    name = path.split('?')[0]
    schema = document['paths'][f'/api/v1/{name}']['get']['responses']['200']['content']['application/json']['schema']
    errors = list(OAS30Validator({**schema, 'components': document['components']}).iter_errors(answer))
    assert not errors, f'{path}: {errors[0].json_path}: {errors[0].message}'


class Embedded(Live):
    """One process with simulated venues behind it."""

    def __init__(self, folder, *simulate, **sections):
        self.simulator = Simulator(folder, '--venues', 'binance,coinbase,kraken', '--symbols', 8, '--rate', 300, *simulate)
        sections = {'serve': {'bind': '127.0.0.1:0'}, 'source': {'gap_grace_ms': 500}, **sections}
        super().__init__(folder, write_config(folder, self.simulator.port, ('binance', 'coinbase', 'kraken'), **sections))
        wait_for(self.port, 30, 'the port is open')

    def end(self):
        self.kill()
        self.simulator.stop()


@pytest.fixture
def embedded(tmp_path):
    made = []

    def make(*simulate, **sections):
        made.append(Embedded(tmp_path / f'live{len(made)}', *simulate, **sections))
        return made[-1]

    yield make
    for m in made:
        m.end()


def test_every_view_of_one_process(embedded, tab):
    live = embedded('--missing', 500)
    port = live.port()
    wait_for(lambda: page_json(port, 'gaps')['open'] > 0 and page_json(port, 'markets').get('markets'), 60, 'markets and gaps are shown')
    for scheme in ('light', 'dark'):
        t = tab(port, f'embedded-{scheme}', color_scheme=scheme)
        page = t.open('flow', '[data-hop=committed] canvas')
        t.until("/^[1-9][0-9,]*\\/s$/.test(document.querySelector('[data-hop=committed] .rate').textContent)")
        t.shoot('flow')
        t.open('markets', 'table[aria-label=Markets] tbody tr[data-key="binance/BTC-USDT"]')
        assert len(t.cells('Markets')) == 24
        t.shoot('markets')
        page.fill('#find', 'kraken eth')
        t.until("document.querySelectorAll('table[aria-label=Markets] tbody tr:not(.space)').length === 1")
        assert t.cells('Markets')[0][:2] == ['kraken', 'ETH-USD']
        page.click('text=ETH-USD')
        page.wait_for_selector('h1:has-text("kraken / ETH-USD")')
        page.click('button:text-is("1s")')
        page.wait_for_selector('.chart[data-candles]:not([data-candles="0"]) canvas')
        page.wait_for_selector('table[aria-label="Newest trades"] tbody tr')
        t.shoot('symbol')
        t.open('gaps', 'table[aria-label=Gaps] tbody tr .bad')
        t.shoot('gaps')
        t.open('lake', 'table[aria-label=Tables] tbody tr[data-key=candles]')
        assert [row[0] for row in t.cells('Tables')][:3] == ['market.trades', 'market.quotes', 'market.candles']
        t.shoot('lake')
        t.open('kafka', '.panel.off')
        t.open('jobs', 'text=no job ran yet')
        t.shoot('jobs')


def test_it_fits_a_phone_and_is_used_by_keyboard(embedded, tab):
    live = embedded()
    t = tab(live.port(), 'phone', has_touch=True)
    t.page.set_viewport_size({'width': 390, 'height': 844})
    for view, selector in (('flow', '[data-hop=committed] canvas'), ('markets', 'table[aria-label=Markets] tbody tr[data-key]'),
                           ('symbol/binance/BTC-USDT?tf=1s', '.chart canvas'), ('lake', 'table[aria-label=Tables] tbody tr')):
        t.open(view, selector)
        assert t.page.evaluate('document.documentElement.scrollWidth <= innerWidth'), view
        t.shoot(view.split('/')[0])
    t.page.set_viewport_size({'width': 1280, 'height': 800})
    page = t.open('markets', 'table[aria-label=Markets] tbody tr[data-key]')
    page.focus('#find')
    for _ in range(4):  # the box for gaps, the table, its first two heads
        page.keyboard.press('Tab')
    page.keyboard.press('Enter')
    page.wait_for_selector('th[aria-sort=ascending]:has-text("Symbol")')
    # The same rows stay in the page: nothing is laid out anew.
    page.evaluate("window.kept = document.querySelector('tr[data-key=\"binance/BTC-USDT\"]')")
    place = page.evaluate('JSON.stringify(kept.getBoundingClientRect())')
    before = page.evaluate('kept.textContent')
    t.until('kept.isConnected && kept.textContent !== ' + json.dumps(before))
    assert page.evaluate('JSON.stringify(kept.getBoundingClientRect())') == place


def test_a_gap_appears_and_closes(embedded, tab):
    """A late trade: its id is missed after the grace, then it comes."""
    live = embedded('--late', 400, '--late-ms', 8000)
    t = tab(live.port(), 'gap')
    page = t.open('gaps', 'table[aria-label=Gaps] tbody tr:has(td.bad:text-is("open")):has(td:text-is("ids"))')
    key = page.eval_on_selector('table[aria-label=Gaps] tbody tr:has(td.bad:text-is("open")):has(td:text-is("ids"))', 'r => r.dataset.key')
    gap = next(g for g in page_json(live.port(), 'gaps')['gaps'] if g['gap_id'] == key)
    t.shoot('open')
    t.open(f'symbol/{gap["venue"]}/{gap["symbol"]}?tf=1s', f'tr[data-key="{key}"]')
    page.wait_for_selector('.chart[data-gaps]:not([data-gaps="0"])')
    t.shoot('in-the-chart')
    t.open('gaps', f'tr[data-key="{key}"]:has(td.good:text-is("repaired"))')
    t.shoot('closed')


def test_a_token_is_asked_for(embedded, tab):
    live = embedded(serve={'bind': '127.0.0.1:0', 'token': TOKEN})
    port = live.port()
    for page in (*PAGES, 'status'):
        assert get(port, f'/api/v1/{page}')[0] == 401
        assert get(port, f'/api/v1/{page}', TOKEN + 'x')[0] == 401
    wait_for(lambda: page_json(port, 'flow', TOKEN)['hops'], 30, 'the token is accepted')
    t = tab(port, 'token')
    page = t.open('lake', 'form.token')
    page.fill('#token', 'wrong')
    page.click('text=Open')
    page.wait_for_selector('text=This token was refused')
    t.shoot('refused')
    page.fill('#token', TOKEN)
    page.click('text=Open')
    page.wait_for_selector('table[aria-label=Tables] tbody tr')
    assert TOKEN not in page.content() + page.url
    # Chromium tells every 401 on its console; nothing else may stand there.
    assert all('401' in w for w in t.wrong)
    t.wrong.clear()


def test_what_stands_on_the_port(embedded):
    from openapi_spec_validator import validate
    live = embedded('--missing', 500)
    port = live.port()
    status, headers, body = get(port, '/')
    assert status == 200 and b'/js/main.js' in body
    assert "default-src 'none'" in headers['content-security-policy'] and 'unsafe' not in headers['content-security-policy']
    assert headers['x-content-type-options'] == 'nosniff'
    assert get(port, '/', headers={'if-none-match': headers['etag']})[0] == 304
    assert b'Apache License' in get(port, '/lib/licences.txt')[2]
    validate(json.loads(get(port, '/api/v1/openapi.json')[2]))
    wait_for(lambda: page_json(port, 'markets').get('markets') and page_json(port, 'lake').get('tables'), 60, 'there is data')
    one = page_json(port, 'markets')['markets'][0]
    symbol = f'venue={one["venue"]}&symbol={one["symbol"]}'
    wait_for(lambda: page_json(port, f'candles?{symbol}&timeframe=1s')['candles'], 30, 'there are candles')
    for path in (*PAGES, 'status', f'candles?{symbol}&timeframe=1s', f'trades?{symbol}', f'gaps?{symbol}'):
        assert_described(port, path, page_json(port, path))
    assert page_json(port, f'trades?{symbol}&limit=7')['trades'][6]
    candles = page_json(port, f'candles?{symbol}&timeframe=1s&limit=3')['candles']
    assert [c['open_time_ms'] for c in candles] == sorted(c['open_time_ms'] for c in candles) and len(candles) <= 3
    for path, code in (('candles', 400), ('candles?venue=a&symbol=b&timeframe=7m', 400), ('nothing', 404), ('candles?venue=' + 'x' * 3000, 414)):
        assert get(port, f'/api/v1/{path}')[0] == code, path
    assert page_json(port, 'candles?venue=no%26such&symbol=%3Cb%3E')['symbol'] == '<b>'
    gauges = dict(re.findall(r'^(ticklake_\S+) (\d+)$', get(port, '/metrics')[2].decode(), re.M))
    assert gauges['ticklake_view_source_up{source="lake"}'] == '1' and int(gauges['ticklake_lake_markets']) == 24
    told = live.lake.json('status')
    for name in PAGES:
        assert_described(port, name, told[name])
    assert len(told['markets']['markets']) == 24


def serve_port(process):
    found = re.search(r'msg=listening .*port=(\d+)', process.words())
    return found and int(found.group(1))


def test_every_view_of_a_distributed_deployment_and_a_broker_lost(flow, stack, tab):
    f = flow(workers=1, rate=300, symbols=4, simulate=('--missing', 500))
    console = f.start('serve')
    port = wait_for(lambda: serve_port(console), 30, 'the port is open')
    wait_for(lambda: page_json(port, 'markets').get('markets') and page_json(port, 'schemas').get('subjects'), 60, 'there is data')
    for path in PAGES:
        assert_described(port, path, page_json(port, path))
    t = tab(port, 'distributed')
    page = t.open('flow', '[data-hop=acked] canvas')
    for hop in ('durable', 'acked', 'committed'):
        t.until(f"/^[1-9][0-9,]*\\/s$/.test(document.querySelector('[data-hop={hop}] .rate').textContent)")
    t.shoot('flow')
    t.open('markets', 'table[aria-label=Markets] tbody tr[data-key="binance/BTC-USDT"]')
    t.shoot('markets')
    t.open('symbol/binance/BTC-USDT?tf=1s', '.chart[data-candles]:not([data-candles="0"]) canvas')
    t.shoot('symbol')
    t.open('schemas', 'details[data-subject] >> text=equal to ours')
    assert page.locator('details[data-subject] .good').count() == 6
    page.click('details[data-subject] summary')
    t.shoot('schemas')
    t.open('lake', 'table[aria-label=Positions] tbody tr')
    t.shoot('lake')
    t.open('jobs', 'table[aria-label=Jobs]')
    t.open('kafka', 'table[aria-label=Brokers] tbody tr:nth-child(3)')
    page.wait_for_selector('text=3 of 3 brokers up')
    page.wait_for_selector('text=until it is lost')
    t.shoot('kafka')
    stack.kill('kafka', 2)
    try:
        page.wait_for_selector('table[aria-label=Brokers] tr[data-key="2"].alarm:has-text("DOWN")')
        page.wait_for_selector('text=2 of 3 brokers up')
        page.wait_for_selector('table[aria-label=Partitions] tr.alarm:has-text("(2 of 3)")')
        t.shoot('kafka-broker-down')
        gauges = get(port, '/metrics')[2].decode()
        assert '\nticklake_bus_brokers_up 2\n' in gauges
    finally:
        stack.start('kafka', 2)
    page.wait_for_selector('text=3 of 3 brokers up', timeout=120_000)
    t.until("!document.querySelector('table[aria-label=Partitions] tr.alarm')", 90)
    t.shoot('kafka-broker-back')
    assert json.loads(f.run('status', '--json').stdout)['kafka']['brokers']


def test_a_dead_database_greys_only_its_panels(flow, stack, tab):
    f = flow(workers=1, rate=100, symbols=2)
    console = f.start('serve')
    port = wait_for(lambda: serve_port(console), 30, 'the port is open')
    t = tab(port, 'database')
    page = t.open('kafka', 'table[aria-label=Brokers] tbody tr:nth-child(3)')
    with stack.frozen('postgres'):
        page.wait_for_selector('.panel[data-source=slot].failing .state:has-text("no answer for")')
        assert not page.query_selector('.panel[data-source=kafka].failing')
        t.shoot('frozen')
        t.open('flow', 'td.bad:text-is("FAILING")')
        assert get(port, '/livez')[0] == 200
        t.shoot('frozen-flow')
    t.until("!document.querySelector('td.bad')")
