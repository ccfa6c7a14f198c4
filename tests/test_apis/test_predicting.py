"""Many images: what is asked, shards, kills, and joining."""
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import time
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from mmrefseg.apis import RefSegInferencer
from mmrefseg.apis.inference.model_loading import identity_of
from mmrefseg.apis.predicting import AnswerSettings, ShardFolder, Task, predict_shards, read_expressions, read_tasks
from mmrefseg.apis.predicting.coco_annotations import coco_of
from mmrefseg.errors import FileError, InputError, MissingInputError
from mmrefseg.structures.mask_formats import mask_to_rle

CONFIG = 'sera_tiny_refshapes'


@pytest.fixture(scope='module')
def ask() -> RefSegInferencer:
    torch.manual_seed(0)
    return RefSegInferencer(CONFIG, None, 'cpu')


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / 'photos'
    (folder / 'deep').mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in ('a.png', 'b.png', 'c.png', 'd.png', 'deep/e.png'):
        cv2.imwrite(str(folder / name), random.integers(0, 255, (30, 40, 3), dtype=np.uint8))
    (folder / 'bb.jpg').write_bytes(b'<html>')
    return folder


def folder_of(out, inputs, expressions=('the cup', 'all of it'), size=2, **settings) -> ShardFolder:
    out.mkdir(exist_ok=True)
    return ShardFolder(out, partial(read_tasks, [str(name) for name in inputs], list(expressions)), settings, size)


def run(ask, folder: ShardFolder, shards=None, **settings):
    shards = folder.missing() if shards is None else shards
    predict_shards(ask, folder, shards, AnswerSettings(**settings), lambda *_: None)
    return [json.loads(line) for line in (folder.folder / 'predictions.jsonl').read_text().splitlines()
            ] if not folder.missing() and folder.merge() else None


def test_folders_lists_and_lines_are_read_in_order(photos, tmp_path):
    (tmp_path / 'list.txt').write_text('photos/d.png\n\nphotos/deep/e.png\n')
    (tmp_path / 'lines.jsonl').write_text(
        '{"image": "a.png", "expressions": ["x", "y"], "sent_ids": [7, 9]}\n{"image": "b.png", "expression": "z"}\n'
        '{"image": "c.png"}\n')
    tasks = list(read_tasks([str(photos), str(tmp_path / 'list.txt')], ['the cup']))
    assert [task.file_name for task in tasks] == [
        'a.png', 'b.png', 'bb.jpg', 'c.png', 'd.png', 'photos/d.png', 'photos/deep/e.png']
    assert [task.number for task in tasks] == list(range(7))
    assert all(os.path.exists(task.image) and task.expressions == ['the cup'] for task in tasks)
    tasks = list(read_tasks([str(tmp_path / 'lines.jsonl')], ['other'], str(photos)))
    assert tasks[0] == Task(0, str(photos / 'a.png'), 'a.png', ['x', 'y'], [7, 9])
    assert [task.expressions for task in tasks[1:]] == [['z'], ['other']]


def test_addresses_in_files_are_of_the_internet_alone(tmp_path, monkeypatch):
    """A list may come from others; a command line is the user's own."""
    asked = []

    def fetch(url, public_only):
        asked.append((url, public_only))
        raise InputError('it was asked for')

    monkeypatch.setattr('mmrefseg.apis.inference.image_sources.download_image', fetch)
    (tmp_path / 'list.txt').write_text('http://a/1.png\n')
    (tmp_path / 'lines.jsonl').write_text('{"image": "HTTP://a/2.png", "expression": "x"}\n')
    inputs = [tmp_path / 'list.txt', tmp_path / 'lines.jsonl', 'http://a/3.png']
    folder = folder_of(tmp_path / 'out', inputs)
    predict_shards(RefSegInferencer.__new__(RefSegInferencer), folder, folder.missing(), AnswerSettings(workers=0),
                   lambda *_: None)
    assert asked == [('http://a/1.png', True), ('HTTP://a/2.png', True), ('http://a/3.png', False)]
    assert not any(task.public_only for task in read_tasks(list(map(str, inputs)), ['x'], trust_lists=True))


@pytest.mark.parametrize(('line', 'message'), [
    ('{"image": 3}', "'image' must be of type str"),
    ('{"image": "a", "expressions": [" "]}', 'line 1: .*blank'),
    ('{"image": "a", "expressions": [3]}', 'line 1: an expression must be a string'),
    ('{"image": "a", "expression": "x", "expressions": ["y"]}', 'write either'),
    ('{"image": "a", "expressions": ["x", "y"], "sent_ids": [1]}', '1 ids of sentences and 2 expressions'),
    ('{"image": "a"}', "nothing is asked of 'a'"),
    ('[1]', 'expected an object'),
])
def test_damaged_lines_are_told_before_the_work(tmp_path, line, message):
    path = tmp_path / 'lines.jsonl'
    path.write_text(line)
    with pytest.raises(InputError, match=message):
        list(read_tasks([str(path)], []))


def test_expressions_of_a_file(tmp_path):
    (tmp_path / 'e.txt').write_text('the cup\n\n the dog \n', encoding='utf-8-sig')
    assert read_expressions([str(tmp_path / 'e.txt'), 'a tree']) == ['the cup', 'the dog', 'a tree']
    (tmp_path / 'e.txt').write_bytes(b'\xff\xfe')
    with pytest.raises(InputError, match='not in UTF-8'):
        read_expressions([str(tmp_path / 'e.txt')])
    with pytest.raises(MissingInputError):
        list(read_tasks([str(tmp_path / 'no.jsonl')], ['x']))


def test_answers_are_the_inferencers(ask, photos, tmp_path):
    lines = run(ask, folder_of(tmp_path / 'out', [photos]), save=('png', 'overlay'), workers=2, batch_size=3)
    assert [(line['file_name'], line['expression']) for line in lines] == [
        (name, text) for name in ('a.png', 'b.png', 'c.png', 'd.png') for text in ('the cup', 'all of it')]
    for line, result in zip(lines, ask.stream(str(photos), ['the cup', 'all of it'], 3, progress=False), strict=True):
        assert line['segmentation'] == result.rle and line['score'] == pytest.approx(result.score)
        assert (cv2.imread(str(tmp_path / 'out' / line['png']), 0) // 255 == result.mask).all()
        assert cv2.imread(str(tmp_path / 'out' / line['overlay'])) is not None
    [broken] = [json.loads(line) for line in (tmp_path / 'out/unreadable.jsonl').read_text().splitlines()]
    assert broken['file_name'] == 'bb.jpg' and 'no image but a text' in broken['error']


@pytest.mark.parametrize('link', ['masks', 'overlays', 'shards', 'masks/000000'])
def test_nothing_is_written_through_links_of_the_folder(ask, photos, tmp_path, link):
    """The folder of somebody else's answers, with its plan, as one is copied to go on in."""
    out, victim = tmp_path / 'out', tmp_path / 'victim'
    folder_of(out, [photos])
    victim.mkdir()
    (out / link).parent.mkdir(exist_ok=True)
    (out / link).symlink_to(victim)
    with pytest.raises(FileError, match=f'{link} is a link to {victim}'):
        run(ask, folder_of(out, [photos]), save=('png', 'overlay'))
    assert not list(victim.iterdir())


def test_of_two_that_begin_at_once_one_makes_the_plan(photos, tmp_path, monkeypatch):
    """The second waits until the first has written its own, however long that takes."""
    from mmrefseg.apis.predicting import shard_folder
    write, locked = shard_folder.write_json, []

    def slowly(plan, path):
        child = os.fork()
        if child == 0:
            try:
                fcntl.flock(os.open(path.with_name('.plan.lock'), os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os._exit(3)
            os._exit(0)
        locked.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3)
        write(plan, path)

    monkeypatch.setattr(shard_folder, 'write_json', slowly)
    folder_of(tmp_path / 'out', [photos])
    assert locked == [True]
    with pytest.raises(InputError, match='questions differ'):
        folder_of(tmp_path / 'out', [photos], ['another'])
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['plan.json']


def test_an_image_that_is_named_twice_is_answered_twice(ask, photos, tmp_path):
    lines = run(ask, folder_of(tmp_path / 'out', [photos / 'a.png', photos / 'bb.jpg', photos / 'a.png'], ['x'], 3))
    assert [line['index'] for line in lines] == [0, 2]


def test_a_name_that_is_not_in_utf_8_stops_nothing(ask, photos, tmp_path):
    shutil.copy(photos / 'a.png', photos / os.fsdecode(b'\xff\xfe.png'))
    lines = run(ask, folder_of(tmp_path / 'out', [photos], ['the \u00fc']))
    assert [line['file_name'] for line in lines] == ['a.png', 'b.png', 'c.png', 'd.png', '\udcff\udcfe.png']
    assert lines[0]['segmentation'] == lines[-1]['segmentation'] and lines[0]['expression'] == 'the \u00fc'


def test_processes_share_the_work(ask, photos, tmp_path):
    folder = folder_of(tmp_path / 'out', [photos])
    shares = [folder.pending(rank, 2, False) for rank in range(2)]
    assert shares == [[0, 2], [1]]
    for share in shares:
        lines = run(ask, folder, share)
    assert lines == run(ask, folder_of(tmp_path / 'alone', [photos]))
    with pytest.raises(InputError, match='holds answers already.*--resume'):
        folder.pending(1, 2, False)
    assert folder.pending(1, 2, True) == []


def test_other_questions_are_refused(photos, tmp_path):
    folder_of(tmp_path / 'out', [photos], weights='a')
    with pytest.raises(InputError, match='questions differ'):
        folder_of(tmp_path / 'out', [photos], ['the cup'], weights='a')
    with pytest.raises(InputError, match='weights differ'):
        folder_of(tmp_path / 'out', [photos], weights='b')


@pytest.mark.parametrize(('change', 'message'), [
    (lambda lines: lines[:-1], 'not those that were asked for'),
    (lambda lines: [*lines, lines[-1]], 'holds 5 answers where 4'),
    (lambda lines: [lines[0], *lines[:-1]], 'not those that were asked for'),
    (lambda lines: [lines[1], lines[0], *lines[2:]], 'not those that were asked for'),
])
def test_a_join_finds_what_is_missing_or_twice(ask, photos, tmp_path, change, message):
    folder = folder_of(tmp_path / 'out', [photos])
    run(ask, folder)
    lines = folder.path(0).read_bytes().splitlines(True)
    folder.path(0).write_bytes(b''.join(change(lines)))
    before = (tmp_path / 'out/predictions.jsonl').read_bytes()
    with pytest.raises(InputError, match=message):
        folder.merge()
    assert (tmp_path / 'out/predictions.jsonl').read_bytes() == before


def slow(ask, folder: ShardFolder) -> None:
    torch.set_num_threads(1)
    predict_shards(ask, folder, folder.missing(), AnswerSettings(workers=0), lambda *_: time.sleep(0.2))


def test_a_killed_run_goes_on(ask, photos, tmp_path):
    folder = folder_of(tmp_path / 'out', [photos], size=1)
    child = multiprocessing.get_context('fork').Process(target=slow, args=(ask, folder))
    child.start()
    while not folder.path(1).exists() and child.is_alive():
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    kept = {shard: folder.path(shard).stat().st_mtime_ns for shard in range(5) if folder.path(shard).exists()}
    assert 2 <= len(kept) < 5
    lines = run(ask, folder, folder.pending(0, 1, True))
    assert lines == run(ask, folder_of(tmp_path / 'alone', [photos], size=1))
    assert kept == {shard: folder.path(shard).stat().st_mtime_ns for shard in kept}


def test_a_full_folder_ends_the_run_and_keeps_what_is_there(ask, photos, tmp_path, monkeypatch):
    folder = folder_of(tmp_path / 'out', [photos])
    run(ask, folder, [0])

    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(FileError, match='has space left'):
        run(ask, folder)
    assert folder.missing() == [1, 2] and [path.name for path in folder.path(1).parent.iterdir()] == ['0000000.jsonl']


def test_coco(ask, photos, tmp_path):
    from pycocotools.coco import COCO
    lines = run(ask, folder_of(tmp_path / 'out', [photos]), threshold=0.5)
    lines[0]['segmentation'] = mask_to_rle(np.zeros((30, 40)))
    (tmp_path / 'instances.json').write_text(json.dumps(coco_of(lines)))
    coco = COCO(str(tmp_path / 'instances.json'))
    assert [image['file_name'] for image in coco.dataset['images']] == ['a.png', 'b.png', 'c.png', 'd.png']
    drawn = [line for line in lines if coco_of([line])['annotations']]
    assert 0 < len(drawn) < len(lines)
    for line, annotation in zip(drawn, coco.dataset['annotations'], strict=True):
        assert annotation['attributes'] == {'expression': line['expression'], 'score': line['score']}
        mask = coco.annToMask(annotation)
        left, top, right, bottom = line['box']
        assert annotation['area'] == mask.sum() and annotation['bbox'] == [left, top, right - left, bottom - top]


@pytest.mark.parametrize(('code', 'message'), [
    ({'size': [3, 4], 'counts': '0o'}, "COCO's compressed string"), ({'size': [3, 4], 'counts': '09'}, 'do not fill'),
    ({'size': [3, 4], 'counts': [0, 12]}, "'counts' must be of type str"),
    (None, "'segmentation' must be of type dict")])
def test_answers_of_others_as_coco(code, message):
    """Of a shard that somebody else wrote; pycocotools would read beyond its end."""
    answer = dict(file_name='a.jpg', expression='a', score=1.0, segmentation={'size': [3, 4], 'counts': '0<'})
    assert coco_of([answer])['annotations'][0]['bbox'] == [0, 0, 4, 3]
    with pytest.raises(InputError, match=message):
        coco_of([{**answer, 'segmentation': code}])


@pytest.mark.parametrize('name', ['predictions.jsonl', 'unreadable.jsonl', 'instances.json', 'masks', 'shards'])
def test_files_of_others_are_not_replaced(photos, tmp_path, name):
    """As where answers are to lie in the folder of a data set."""
    out = tmp_path / 'out'
    out.mkdir()
    (out / name).write_text('precious')
    with pytest.raises(FileError, match=f'holds {name}, which is not of such a run'):
        folder_of(out, [photos])
    assert (out / name).read_text() == 'precious' and not (out / 'plan.json').exists()


@pytest.mark.parametrize('change', [
    lambda line: line.pop('segmentation'), lambda line: line.pop('score'), lambda line: line.update(score='x'),
    lambda line: line.update(segmentation=None)])
def test_a_join_finds_answers_that_are_none(ask, photos, tmp_path, change):
    folder = folder_of(tmp_path / 'out', [photos])
    run(ask, folder)
    lines = list(map(json.loads, folder.path(0).read_text().splitlines()))
    change(lines[1])
    folder.path(0).write_text(''.join(json.dumps(line) + '\n' for line in lines))
    with pytest.raises(InputError, match='not those that were asked for'):
        folder.merge()


def test_what_tells_models_apart(tmp_path, monkeypatch):
    """Answers of one must not be joined with those of another of the same name."""
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = __import__('mmrefseg').config_path({CONFIG!r})\n")
    before = identity_of(path)
    assert identity_of(path) == before and before['weights'] is None
    with path.open('a') as file:
        file.write('model = dict(test_cfg=dict(threshold=0.2))\n')
    assert identity_of(path) != before
    pack = tmp_path / 'pack'
    pack.mkdir()
    (pack / 'model.safetensors').touch()
    monkeypatch.setattr('mmrefseg.apis.inference.model_loading.pull', lambda name: str(pack))
    found = []
    for weights in 'ab':
        (pack / 'config.json').write_text(weights)
        found.append(identity_of('hf:me/model'))
    assert found[0] != found[1] and found[0]['model'] == 'hf:me/model'
