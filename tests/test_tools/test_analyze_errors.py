"""The page about where predictions fail."""
import json
import re
import runpy
import sys
from base64 import b64encode
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mmrefseg.datasets import JSONLinesDataset
from mmrefseg.structures.mask_formats import draw_mask, mask_to_rle
from mmrefseg.utils.shipped_files import config_path
from mmrefseg.visualization.failure_page import failure_page

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/analyze_errors.py'
TEXTS = ['<script>alert(1)</script>', '" onmouseover="alert(1)', 'the 🦊 fox', 'الكأس الأحمر', '<b>red</b> & blue',
         'cup left of the plate']


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Twelve images of two cups each, with hostile expressions, and answers: right, the other cup, nothing."""
    folder = tmp_path_factory.mktemp('errors')
    (folder / 'images').mkdir()
    (folder / 'annotations').mkdir()
    lines = []
    for number in range(12):
        shades = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
        Image.fromarray(shades).save(folder / f'images/{number}.png')
        for side, left in enumerate((5, 45)):
            lines.append({'image': f'{number}.png', 'expression': TEXTS[(2 * number + side) % 6],
                          'kinds': [['location', 'relation'][side]], 'category_id': 3, 'ref_id': len(lines),
                          'height': 60, 'width': 80, 'mask': [[left, 10, left + 30, 10, left + 30, 40, left, 40]]})
    (folder / 'annotations/val.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (folder / 'data.py').write_text(
        f'_base_ = {config_path("_base_/datasets/refshapes")!r}\ntest_dataloader = dict(dataset=dict(_delete_=True, '
        "type='JSONLinesDataset', data_root='.', split='val', pipeline=_base_.test_pipeline))\n")
    return folder


@pytest.fixture(scope='module')
def rows(folder):
    """Answers to relations are the other cup, those to every third location are empty."""
    dataset = JSONLinesDataset(str(folder), split='val')
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    rows = []
    for index, info in enumerate(infos):
        meant = infos[index - 1] if info['kind'] == 'relation' else info
        mask = draw_mask(meant['segmentation'], 60, 80) * (info['kind'] == 'relation' or index % 3 > 0)
        rows.append({'sent_id': info['sent_id'], 'segmentation': mask_to_rle(mask), 'text': info['text']})
    return rows


@pytest.fixture
def command(monkeypatch, folder, tmp_path):
    """Run the command on some answers; returns numbers and page."""

    def call(answers, *arguments, out=None):
        monkeypatch.chdir(folder)
        (tmp_path / 'predictions.json').write_text(json.dumps(answers))
        monkeypatch.setattr(sys, 'argv', ['analyze_errors.py', str(tmp_path / 'predictions.json'), '--on', 'data.py',
                                          '--out', str(out or tmp_path / 'out'), *arguments])
        monkeypatch.syspath_prepend(TOOL.parent)
        runpy.run_path(str(TOOL), run_name='__main__')
        return json.loads((tmp_path / 'out/errors.json').read_text()), (tmp_path / 'out/errors.html').read_text()

    return call


def visible(page):
    """What a reader of the page may see."""
    page = re.sub(r'<(style|script|title)>.*?</\1>', ' ', page, flags=re.DOTALL)
    return re.sub(r'<[^>]*>', ' ', page)


def shown_forms(value):
    """All ways in which the page may write the numbers of the report."""
    if isinstance(value, dict):
        return {form for item in (*value, *value.values()) for form in shown_forms(item)}
    if isinstance(value, list):
        return {form for item in value for form in shown_forms(item)}
    if isinstance(value, str):
        return set(re.findall(r'\d+(?:\.\d+)?', value))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {str(value), f'{value:.1f}', f'{value:.0f}', f'{100 * value:.1f}'}
    return set()


def test_figures_classes_and_groups(command, rows, capsys):
    report, _ = command(rows)
    assert report['failures']['number'] == 16
    assert {row['name']: row['number'] for row in report['failures']['classes']} == {'wrong object': 12, 'empty': 4}
    assert report['figures']['mIoU']['mean'] == report['figures']['Pr@50']['mean'] == pytest.approx(100 * 8 / 24)
    groups = {row['name']: row for row in report['groups']['kind']}
    assert groups['relation']['failed'] == {'mean': 100, 'low': 100, 'high': 100}
    assert groups['location']['expressions'] == 12
    assert [row['name'] for row in report['groups']['position']] == ['middle left', 'middle right']
    assert 'others of its category' not in report['groups']  # all have one, so there is nothing to compare
    assert {row['others_of_its_category'] for row in report['rows']} == {1}
    assert len(report['rows']) == 24 and report['rows'][1]['failure'] == 'wrong object'
    assert '16 of 24 answers fail' in capsys.readouterr().out


def test_every_number_of_the_page_is_in_the_json(command, rows):
    pictures = cv2.imencode('.png', np.full((30, 40), 128, np.uint8))[1].tobytes()
    more = [{**row, 'probability': b64encode(pictures).decode(), 'routing': {'fusion.0': {'a': 0.123, 'b': 0.877}}}
            for row in rows]
    report, page = command(more)
    assert 'Not for reporting' in page and 'Routing by kind' in page
    found = set(re.findall(r'\d+(?:\.\d+)?', visible(page)))
    assert len(found) > 30
    # Of the page's own words: the level of the intervals, and the bits of the pictures.
    assert found - shown_forms(report) <= {'95', '8'}


def test_the_page_needs_nothing_and_runs_nothing_foreign(command, rows):
    report, page = command(rows)
    assert '://' not in page and len(re.findall('<script', page)) == 1 and 'src="data:image/jpeg' in page
    assert "default-src 'none'" in page
    for text in TEXTS:
        assert text in {row['text'] for row in report['rows']}
    assert '<script>alert' not in page and '&lt;script&gt;alert(1)' in page and '" onmouseover' not in page
    assert 'the 🦊 fox' in page and '<bdi>الكأس الأحمر</bdi>' in page
    assert len(re.findall('<figure', page)) == len(report['examples']) == 24
    card = re.search(r'<figure ([^>]*)>', page)[1]
    assert dict(re.findall(r'data-(\w+)="(.*?)"', card))['iou'] == str(report['examples'][0]['iou'])


@pytest.mark.parametrize('kind', ['of two|words', 'two  blanks', '<i>"&'])
def test_a_kind_of_any_letters_is_found(command, rows, tmp_path, kind):
    pytest.importorskip('websocket')
    from helpers.browser import CHROMIUM, browser
    if CHROMIUM is None:
        pytest.skip('no Chromium')
    report, _ = command(rows)
    meant = [example for example in report['examples'] if example['kind'] == 'relation']
    for example in meant:
        example['kind'] = kind
    pictures = [np.zeros((9, 9, 3), np.uint8)] * len(report['examples'])
    (tmp_path / 'page.html').write_text(failure_page(report, pictures))
    with browser(tmp_path) as page:
        page.open((tmp_path / 'page.html').as_uri())
        page.run(f'controls.kind.value = {json.dumps(kind)}; show()')
        assert page.run('cards.filter(card => !card.hidden).length') == len(meant) > 0


def test_groups_of_the_config_are_those_of_the_page(command, rows, folder):
    (folder / 'by.py').write_text("_base_ = 'data.py'\ntest_evaluator = dict(type='ReferringIoUMetric', by=['kind'])\n")
    report, _ = command(rows, '--on', 'by.py')
    assert list(report['figures']) == ['mIoU', 'oIoU', *(f'Pr@{level}' for level in (50, 60, 70, 80, 90))]


def test_without_pictures_no_image_is_needed(command, rows, folder):
    (folder / 'images').rename(folder / 'gone')
    (folder / 'images').mkdir()
    try:
        report, page = command(rows, '--examples', '0')
        with pytest.raises(SystemExit, match='is missing'):
            command(rows)
    finally:
        (folder / 'images').rmdir()
        (folder / 'gone').rename(folder / 'images')
    assert report['examples'] == [] and '<figure' not in page and '<script>' not in page and len(report['rows']) == 24


def test_what_the_file_lacks_is_not_shown(command, rows):
    report, page = command(rows[:-1], '--examples', '1')
    assert report['sweep'] == [] and 'Other thresholds' not in page and 'Routing' not in page
    assert report['missing'] == 1 and report['failures']['classes'][-1] == {
        'name': 'missing', 'rule': 'the file has no answer', 'number': 1, 'share': 100 / 16}
    assert 'value="leak"' not in page and 'value="missing"' in page


@pytest.mark.parametrize(('change', 'arguments', 'message'), [
    (lambda rows: [{**rows[0], 'segmentation': mask_to_rle(np.ones((6, 8)))}, *rows[1:]], (),
     'predictions.json.*its RLE must have the size'),
    (lambda rows: [{**row, 'sent_id': 900 + index} for index, row in enumerate(rows)], (), 'belong to no expression'),
    (lambda rows: [*rows, rows[0]], (), 'answer the same expression'),
    (lambda rows: rows, ('--split', 'nowhere'), 'nowhere'),
    (lambda rows: rows, ('--examples', '-1'), 'must be 0 or more'),
    (lambda rows: [], (), 'holds no predictions'),
    (lambda rows: [{**rows[0], 'probability': float('nan')}], (), "'probability' must be an 8-bit grey PNG"),
])
def test_bad_input(command, rows, change, arguments, message):
    with pytest.raises(SystemExit, match=message):
        command(change(rows), *arguments)


def test_no_input_is_overwritten(command, rows, tmp_path):
    with pytest.raises(SystemExit, match='2'):
        command(rows, '--protocol', 'none')
    command(rows, '--examples', '0')
    (tmp_path / 'predictions.json').unlink()
    (tmp_path / 'out/errors.json').write_text(json.dumps(rows))
    (tmp_path / 'predictions.json').symlink_to(tmp_path / 'out/errors.json')
    with pytest.raises(SystemExit, match='is a file that is read, and would be lost'):
        command(rows)
