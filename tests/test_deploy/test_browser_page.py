"""The page, clicked through in a headless Chromium where one is installed."""
import base64
import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('fastapi')
httpx = pytest.importorskip('httpx')
pytest.importorskip('websocket')

from helpers.app_server_thread import running  # noqa: E402
from helpers.browser import CHROMIUM, browser  # noqa: E402

from mmrefseg.apis import RefSegInferencer  # noqa: E402
from mmrefseg.deploy.server.app import create_app  # noqa: E402
from mmrefseg.deploy.server.browser_page import add_page, made_examples, named_examples  # noqa: E402
from mmrefseg.deploy.server.limits import Limits  # noqa: E402
from mmrefseg.deploy.server.prometheus_metrics import ServerMetrics  # noqa: E402
from mmrefseg.deploy.server.worker_pool import WorkerPool  # noqa: E402
from mmrefseg.errors import InputError  # noqa: E402


@pytest.fixture(scope='module')
def ask() -> RefSegInferencer:
    torch.manual_seed(0)
    return RefSegInferencer('sera_tiny_refshapes', None, 'cpu')


@pytest.fixture(scope='module')
def server(ask):
    with WorkerPool(lambda: ask, ServerMetrics(), start_method='fork') as pool:
        app = create_app(pool, Limits(), ServerMetrics())
        add_page(app, made_examples(2, 96))
        with running(app) as address:
            yield address


@pytest.fixture(scope='module')
def page(tmp_path_factory):
    if CHROMIUM is None:
        pytest.skip('there is no Chromium')
    folder = tmp_path_factory.mktemp('browser')
    with browser(folder) as page:
        page.downloads = folder
        yield page


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / 'noise.png'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8))
    return path


def downloaded(page, name: str) -> bytes:
    path = page.downloads / name
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, page.run('document.querySelector("#message").textContent')
        time.sleep(0.05)
    time.sleep(0.15)  # of more than ten downloads within a second, Chromium drops the rest without a word
    content = path.read_bytes()
    path.unlink()
    return content


def ask_on_page(page, server: str, image: Path, *expressions: str) -> None:
    page.open(server)
    page.choose('#file', image)
    page.wait('document.querySelector("#drop-text").textContent.includes("70 × 50")')
    page.click('#expressions')
    page.type('\n'.join(expressions))
    page.click('#go')
    page.wait(f'document.querySelectorAll(".answer").length === {len(expressions)}')


def set_threshold(page, step: int) -> None:
    slider = 'document.querySelector("#threshold")'
    page.run(f'{slider}.value = {step}; {slider}.dispatchEvent(new Event("input"))')
    page.wait(f'document.querySelector("#threshold-value").textContent === "{step / 200:.3f}"')


def test_downloads_are_the_inferencers_answers(page, server, image, ask):
    ask_on_page(page, server, image, 'the cup', 'ein Hund')
    assert page.run('document.querySelector("#threshold-value").textContent') == '0.350'
    requests = 'performance.getEntriesByType("resource").filter(e => e.name.endsWith("segment")).length'
    asked = page.run(requests)
    for step in (70, 96, 101):
        set_threshold(page, step)
        for index, result in enumerate(ask(image, ['the cup', 'ein Hund'], threshold=step / 200), 1):
            stem = result.expression.replace(' ', '_')
            saved = {}
            for kind, ending in (('png', 'png'), ('rle', 'json'), ('polygons', 'json')):
                page.click(f'.answer:nth-child({index}) [data-kind={kind}]')
                saved[kind] = downloaded(page, f'{stem}_{kind}.{ending}')
            mask = cv2.imdecode(np.frombuffer(saved['png'], np.uint8), cv2.IMREAD_GRAYSCALE)
            assert set(np.unique(mask)) <= {0, 255} and ((mask > 0) == result.mask).mean() > 0.998
            rle, polygons = json.loads(saved['rle']), json.loads(saved['polygons'])
            assert rle['threshold'] == step / 200 and rle['expression'] == result.expression
            if ((mask > 0) == result.mask).all():
                assert rle['rle'] == result.rle
                assert polygons['polygons'] == [outline.ravel().tolist() for outline in result.polygons]
            shown = page.run(f'document.querySelector(".answer:nth-child({index}) .score").textContent')
            assert shown == 'nothing found' if not (mask > 0).any() else float(shown.split()[1]) == pytest.approx(
                result.score, abs=0.011)
    assert page.run(requests) == asked == 1, 'the threshold asks nobody'
    assert not page.errors


def test_by_keyboard_alone(page, server, image):
    page.open(server)
    page.wait('document.querySelectorAll("#examples img").length === 2')
    focus = 'document.activeElement.id || document.activeElement.title || document.activeElement.className'
    seen = []
    while (seen := [*seen, page.run(focus)])[-1] != 'made-up scene 1':
        page.key('Tab', 9)
        assert len(seen) < 9, seen
    assert 'drop' in seen
    page.key('Enter', 13)
    page.wait('!document.querySelector("#go").disabled')
    number = page.run('document.querySelector("#expressions").value.split("\\n").length')
    page.key('Enter', 13, modifiers=2)
    page.wait(f'document.querySelectorAll(".answer").length === {number}')
    while page.run(focus) != 'pick':
        page.key('Tab', 9)
    page.key(' ', 32)
    assert page.run('document.activeElement.getAttribute("aria-pressed")') == 'false'
    page.run('document.querySelector("#threshold").focus()')
    page.key('ArrowRight', 39)
    page.wait('document.querySelector("#threshold-value").textContent === "0.355"')


def test_heat_map_masks_and_routing(page, server, image, ask):
    ask_on_page(page, server, image, 'the cup')
    canvas = 'document.querySelector("#stage").toDataURL()'
    masks = page.run(canvas)
    page.click('#heat')
    page.wait(f'{canvas} !== {json.dumps(masks)}')
    page.click('#heat')
    page.wait(f'{canvas} === {json.dumps(masks)}')
    page.click('.pick')
    content = base64.b64decode(page.run(canvas).partition(',')[2])
    hidden = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert (hidden == cv2.imread(str(image))).all()
    assert page.run('[...document.querySelectorAll(".bars h3")].map(e => e.textContent)') == list(ask.model.experts)
    assert page.run('[...document.querySelectorAll(".bars")[0].firstChild.querySelectorAll("b")]'
                    '.reduce((sum, e) => sum + parseInt(e.textContent), 0)') == pytest.approx(100, abs=2)


def test_mistakes_are_said(page, server, image, tmp_path):
    page.open(server)
    (tmp_path / 'no.png').write_bytes(b'<html>')
    page.choose('#file', tmp_path / 'no.png')
    page.wait('document.querySelector("#message").textContent.includes("no.png is no picture")')
    assert page.run('document.querySelector("#go").disabled')
    ask_on_page(page, server, image, 'x')
    page.run(f'document.querySelector("#expressions").value = {json.dumps("y" * 5000)}')
    page.click('#go')
    page.wait('document.querySelector("#message.error")?.textContent.includes("5000 characters")')
    page.errors.clear()  # the browser logs answers of 422


def test_at_every_width(page, server, image):
    """A short expression stays on a line, nothing is wider than the window, and nothing lies on anything else."""
    ask_on_page(page, server, image, 'the cup', 'a very long expression that goes on and on ' * 3)
    box = '(selector => (r => [r.left, r.top, r.right, r.bottom])(document.querySelector(selector)' \
        '.getBoundingClientRect()))'
    for width in (360, 800, 1000, 1280):
        page.size(width, 740, width < 500)
        assert page.run('document.documentElement.scrollWidth') <= width
        _, top, right, bottom = page.run(f'{box}(".answer .text")')
        assert bottom - top < 30, width
        left, upper, *_ = page.run(f'{box}(".answer .saves")')
        assert left >= right or upper >= bottom, width
    page.size(1280, 900)


def test_nothing_comes_from_elsewhere(page, server):
    page.open(server)
    names = page.run('performance.getEntriesByType("resource").map(e => e.name)')
    assert names and all(name.startswith((server, 'data:')) for name in names)


def test_examples(server, tmp_path):
    examples = httpx.get(f'{server}/page/examples.json').json()
    assert len(examples) == 2 and all(example['expressions'] for example in examples)
    assert httpx.get(f'{server}/{examples[1]["address"]}').content[:2] == b'\xff\xd8'
    assert httpx.get(f'{server}/page/examples/2').status_code == 404
    assert httpx.get(f'{server}/../setup.py').status_code == 404
    assert httpx.post(f'{server}/page/outlines', data={}).status_code == 422
    assert httpx.post(f'{server}/page/outlines', files=dict(mask=b'<html>')).status_code == 422
    (tmp_path / 'a.png').write_bytes(made_examples(1, 96)[0].content)
    (tmp_path / 'a.jsonl').write_text(12 * (
        f'{{"image": "{tmp_path}/a.png", "expressions": ["x", "y"]}}\n{{"image": "a.png"}}\n'))
    examples = named_examples([str(tmp_path / 'a.jsonl')])
    assert [example.expressions for example in examples][:2] == [['x', 'y'], []]
    assert {example.name for example in examples} == {'a.png'}, 'visitors see no path of this machine'
    with pytest.raises(InputError, match='up to 24'):
        named_examples([str(tmp_path / 'a.jsonl')] * 2)
    (tmp_path / 'secret').write_text('password')
    (tmp_path / 'b.jsonl').write_text(json.dumps(dict(image='secret', expression='x')))
    with pytest.raises(InputError, match='secret cannot be decoded'):
        named_examples([str(tmp_path / 'b.jsonl')])


def test_noise_is_no_mask(server):
    """Each of its pixels would be an outline: a few megabytes would take all of the memory."""
    pixels = (np.indices((2000, 2000)).sum(0) % 2 * 255).astype(np.uint8)
    for noise in (pixels, np.where(np.arange(2000)[:, None] % 2, 0, pixels)):
        mask = cv2.imencode('.png', noise)[1].tobytes()
        response = httpx.post(f'{server}/page/outlines', files=dict(mask=mask), timeout=60)
        assert response.status_code == 422 and 'too many pieces' in response.json()['detail']
    stripes = np.repeat(np.arange(2000)[:, None] % 2 * 255, 200, axis=1).astype(np.uint8)
    mask = cv2.imencode('.png', stripes)[1].tobytes()
    assert len(httpx.post(f'{server}/page/outlines', files=dict(mask=mask), timeout=60).json()['polygons']) == 1000
