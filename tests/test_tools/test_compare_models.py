import json
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.load_script import load_script

from mmrefseg.evaluation.functional import paired_difference


@pytest.fixture
def tool():
    return load_script('tools/analysis_tools/compare_models.py')


@pytest.fixture
def command(tool, monkeypatch, tmp_path):
    """Run the command in a folder of its own, with one string of arguments."""
    monkeypatch.chdir(tmp_path)

    def call(arguments: str) -> None:
        monkeypatch.setattr(sys, 'argv', ['compare_models.py', *arguments.split()])
        tool.main()

    return call


def answers(*intersections):
    """Predictions with a union of 100 pixels, two expressions per image."""
    return [dict(image_id=i // 2, ref_id=i, sent_id=10 + i, text=f'shape {i}', intersection=value, union=100,
                 segmentation={}) for i, value in enumerate(intersections)]


def write(path, **splits):
    Path(path).write_text(json.dumps(splits))


@pytest.fixture
def four_files(tmp_path):
    write(tmp_path / 'a0.json', val=answers(40, 60, 95, 0), testA=answers(10, 20, 30))
    write(tmp_path / 'a1.json', val=answers(50, 60, 92, 2), testA=answers(10, 20, 30))
    write(tmp_path / 'b0.json', val=answers(60, 60, 95, 0), testA=answers(10, 20, 30))
    # In another order, which must not matter.
    write(tmp_path / 'b1.json', val=answers(40, 80, 92, 42)[::-1], testA=answers(40, 20, 30))


def test_figures_by_hand(command, four_files, tmp_path, capsys):
    command('--variant base a0.json a1.json --variant ours b0.json b1.json --out tables.md')
    rows = [[cell.strip() for cell in line.strip('| ').split('|')]
            for line in (tmp_path / 'tables.md').read_text().splitlines() if line.startswith('|')]
    assert rows[0] == ['split', 'variant', 'mIoU', 'oIoU', 'Pr@50', 'Pr@90']
    # base on val: mIoU 48.75 and 51; Pr@50 2 of 4 both times, as an IoU of just 50 does not pass.
    assert ['val', 'base', '49.88 ± 1.59', '49.88 ± 1.59', '50.00 ± 0.00', '25.00 ± 0.00'] in rows
    # ours on val: 53.75 and 63.5; Pr@50 3 of 4 and 2 of 4.
    assert ['val', 'ours', '58.62 ± 6.89', '58.62 ± 6.89', '62.50 ± 17.68', '25.00 ± 0.00'] in rows
    # Means over seeds: +5, +10 on image 0, 0, +20 on image 1: means 7.5 and 10 are the ends of two images' bootstrap.
    assert ['val', 'ours', '+8.75', '+7.50 to +10.00', '+5.00, +12.50'] in rows
    assert ['testA', 'ours', '+5.00', '+0.00 to +7.50', '+0.00, +10.00'] in rows
    assert not any(row[:2] == ['val', 'base'] for row in rows[rows.index(
        ['split', 'variant', 'mIoU less that of base', '95 % interval', 'each seed']):])
    shown = capsys.readouterr().out
    assert '+7.50 to +10.00' in shown and 'tables.json' in shown


def test_numbers(command, four_files, tmp_path):
    command('--variant base a0.json a1.json --variant ours b0.json b1.json --out tables.md')
    report = json.loads((tmp_path / 'tables.json').read_text())
    assert report['files'] == {'base': ['a0.json', 'a1.json'], 'ours': ['b0.json', 'b1.json']}
    base, ours = report['splits']['val']['base'], report['splits']['val']['ours']
    assert [seed['mIoU'] for seed in base['seeds']] == pytest.approx([48.75, 51])
    assert base['figures']['mIoU'] == pytest.approx({'mean': 49.875, 'std': 1.125 * 2**0.5})
    assert 'difference' not in base
    expected = paired_difference(np.array([[60.0, 60, 95, 0], [40, 80, 92, 42]]),
                                 np.array([[40.0, 60, 95, 0], [50, 60, 92, 2]]), [0, 0, 1, 1])
    assert ours['difference'] == {**expected._asdict(), 'by_seed': pytest.approx([5, 12.5])}


def test_one_seed_and_an_empty_union(command, tmp_path, capsys):
    nothing = answers(0, 30, 80)
    nothing[0]['union'] = 0
    write(tmp_path / 'a.json', val=nothing)
    write(tmp_path / 'b.json', val=answers(0, 30, 80))
    command('--variant a a.json --variant b b.json')
    shown = capsys.readouterr().out
    assert '36.67' in shown and '±' not in shown and '+0.00 to +0.00' in shown
    assert not list(tmp_path.glob('*.md'))


def spoiled(**changes):
    return [{**answer, **changes} if i == 1 else answer for i, answer in enumerate(answers(1, 2, 3))]


@pytest.mark.parametrize(('content', 'message'), [
    (dict(val=answers(1, 2)), r'val of a\.json holds 1 expressions that b\.json lacks, and lacks 0 of its, such as '
                              r"'shape 2' \(ref_id 2, sent_id 12, image_id 1\); only models .* same data"),
    (dict(val=answers(1, 2, 3, 4)), r"holds 0 expressions that b\.json lacks, and lacks 1 of its, such as 'shape 3'"),
    (dict(val=spoiled(text='other')), r'holds 1 .* lacks 1 of its'),
    (dict(val=spoiled(image_id=7)), r'holds 1 .* lacks 1 of its'),
    (dict(val=spoiled(sent_id=7)), r'holds 1 .* lacks 1 of its'),
    (dict(testA=answers(1, 2, 3)), r'a\.json holds the splits val, and b\.json testA; only models'),
    (dict(val=[*answers(1, 2, 3), *answers(1)]), r'val of b\.json holds 1 expressions twice'),
    (dict(val=[{'ref_id': 1}]), r'val of b\.json is not a list of predictions with ref_id, .*union; tools/test\.py'),
    (dict(val={'mIoU': 50.0}), r'is not a list of predictions'),
    (dict(val=spoiled(intersection=101)), 'larger than its union'),
])
def test_other_data_is_refused(command, tmp_path, content, message):
    write(tmp_path / 'a.json', val=answers(1, 2, 3))
    write(tmp_path / 'b.json', **content)
    with pytest.raises(SystemExit, match=f'^compare_models: .*{message}'):
        command('--variant a a.json --variant b b.json --out tables.md')
    assert not list(tmp_path.glob('tables.*'))


@pytest.mark.parametrize(('arguments', 'message'), [
    ('--variant a a.json', r'named a; expected were two or more different names'),
    ('--variant a a.json --variant a a.json', r'named a, a; expected were'),
    ('--variant a a.json --variant b a.json a.json', r"as many for all variants, got \{'a': 1, 'b': 2\}"),
    ('--variant a --variant b', r"a file for each seed, .* got \{'a': 0, 'b': 0\}"),
    ('--variant a a.json --variant b b.json', r'b\.json is missing; tools/test\.py --out writes it'),
    ('--variant a a.json --variant b a.json --out tables.json', r'--out is tables\.json; .*ends in \.md'),
    ('--variant a one.json --variant b one.json', r'at least two images'),
    ('--variant a none.json --variant b none.json', r'no expressions to evaluate'),
])
def test_mistakes_get_a_message(command, tmp_path, arguments, message):
    write(tmp_path / 'a.json', val=answers(1, 2, 3))
    write(tmp_path / 'one.json', val=answers(1, 2))
    write(tmp_path / 'none.json', val=[])
    with pytest.raises(SystemExit, match=f'^compare_models: .*{message}'):
        command(arguments)


@pytest.mark.parametrize(('field', 'value'), [
    ('intersection', 10**30), ('intersection', 'abc'), ('intersection', None), ('intersection', 0.9),
    ('intersection', True), ('intersection', -1), ('intersection', 101), ('union', [1]), ('text', {}),
    ('image_id', [1])])
def test_numbers_that_are_none(command, four_files, tmp_path, field, value):
    rows = answers(1, 2, 3, 4)
    rows[2][field] = value
    write(tmp_path / 'b0.json', val=rows, testA=answers(1, 2, 3))
    with pytest.raises(SystemExit, match=r'b0\.json'):
        command('--variant base a0.json --variant ours b0.json')


def test_names_are_no_markup(command, tmp_path, capsys):
    write(tmp_path / 'a.json', **{'[/v]': answers(40, 60, 95)})
    command('--variant [bold]a a.json --variant [/b]:smile: a.json --out out.md')
    assert '[bold]a' in (text := capsys.readouterr().out) and '[/b]:smile:' in text and '[/v]' in text
    assert '[/b]:smile:' in (tmp_path / 'out.md').read_text()


def test_no_predictions_are_replaced_by_numbers(command, four_files, tmp_path):
    before = (tmp_path / 'a0.json').read_bytes()
    with pytest.raises(SystemExit, match='would be lost'):
        command('--variant base a0.json --variant ours b0.json --out a0.md')
    assert (tmp_path / 'a0.json').read_bytes() == before
