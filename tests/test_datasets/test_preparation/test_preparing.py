import json
import os
import shutil
import signal
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.refcoco_files import write_refcoco
from lmdb import open as lmdb_open
from mmengine.registry import DefaultScope

from mmrefseg.datasets import JSONLinesDataset, RefCOCODataset, ReferringLMDBDataset
from mmrefseg.datasets.preparation import RECIPES, prepare, preparing, read_manifest, split_preparation, verify
from mmrefseg.datasets.preparation.recipes import SplitSize
from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.lmdb_file import LMDBWriter
from mmrefseg.utils.locks import locked_file


def _tree(folder):
    """Contents of all files of a folder; an LMDB file's depends on how often it was written."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*')
            if path.is_file() and path.suffix != '.lmdb' and path.name != 'prepared.json'}


_STEPS = ((Path, ('rename', 'mkdir', 'symlink_to')), (shutil, ('rmtree', )), (preparing, ('write_atomically', )),
          (LMDBWriter, ('_commit', 'close')), (split_preparation, ('write_atomically', 'check_image')))


@contextmanager
def _ahead_of_steps(act):
    """Calls a function whenever a preparation is about to do a step."""
    def acting(function):
        def act_and_call(*args, **kwargs):
            act()
            return function(*args, **kwargs)
        return act_and_call

    with pytest.MonkeyPatch.context() as patch:
        for owner, names in _STEPS:
            for name in names:
                patch.setattr(owner, name, acting(getattr(owner, name)))
        yield


def _states(out_dir, source, lmdb):
    """Prepare; returns copies of the folder ahead of each step, which are what a process killed there leaves."""
    copies = []

    def copy():
        copies.append(out_dir.with_name(f'{out_dir.name}-{len(copies)}'))
        if out_dir.exists():
            shutil.copytree(out_dir, copies[-1], symlinks=True)

    with _ahead_of_steps(copy):
        prepare('refshapes', [source], out_dir, lmdb=lmdb)
    return copies


@pytest.mark.parametrize('lmdb', [False, True])
def test_killed_anywhere(root, tmp_path, lmdb, monkeypatch):
    monkeypatch.setattr(os, 'fsync', lambda file: None)  # waiting for the disk would take most of the time
    monkeypatch.setattr('lmdb.open', partial(lmdb_open, sync=False))
    states = _states(tmp_path / 'whole', root, lmdb)
    expected = _tree(tmp_path / 'whole')
    assert len(states) > 15
    twice = []
    for point, state in enumerate(states[::3]):
        again = tmp_path / f'again-{point}'
        if state.exists():
            shutil.copytree(state, again, symlinks=True)
        later = _states(again, root, lmdb)
        twice.append(later[min(point, len(later) - 1)])
    dataset_class = ReferringLMDBDataset if lmdb else JSONLinesDataset
    for out_dir in (*states, *twice):
        if (out_dir / '.unfinished').exists():
            with pytest.raises(ValueError, match='not whole'):
                len(dataset_class(str(out_dir)))
        elif out_dir.exists() and any(out_dir.iterdir()):
            assert (out_dir / 'prepared.json').exists()
        prepare('refshapes', [root], out_dir, lmdb=lmdb)
        assert _tree(out_dir) == expected
        assert verify(out_dir) == []
        assert not (out_dir / '.unfinished').exists()
        assert len(dataset_class(str(out_dir))) == 4


def _count_down(steps):
    if next(steps) == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def _everything(folder):
    """Files with their contents, links with their targets, and folders."""
    return {str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else
            path.read_bytes() if path.is_file() else None for path in folder.rglob('*')}


@pytest.mark.parametrize('lmdb', [False, True])
def test_a_killed_process_leaves_these_states(root, tmp_path, lmdb):
    states = _states(tmp_path / 'whole', root, lmdb)
    for point in (len(states) // 2, len(states) - 3):
        child = os.fork()
        if child == 0:
            with _ahead_of_steps(partial(_count_down, iter(range(point, -1, -1)))):
                prepare('refshapes', [root], tmp_path / f'killed-{point}', lmdb=lmdb)
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        assert len(_everything(states[point])) > 5
        assert _everything(tmp_path / f'killed-{point}') == _everything(states[point])


def test_whatever_scope_the_process_is_in(root, tmp_path):
    with DefaultScope.overwrite_default_scope('mmengine'):  # as a runner of another library leaves it
        prepare('refshapes', [root], tmp_path / 'out')
    assert verify(tmp_path / 'out') == []


def test_archives_are_closed_afterwards(root, tmp_path):
    archive = shutil.make_archive(str(tmp_path / 'src/a'), 'zip', root)
    prepare('refshapes', [tmp_path / 'src'], tmp_path / 'out')
    assert archive not in [os.path.realpath(path) for path in Path('/proc/self/fd').iterdir()]


def test_finished_splits_are_not_done_again(root, tmp_path, monkeypatch):
    done = []
    check = split_preparation.check_image

    def check_some(task):
        if len(done) == 3:
            raise OSError('no space left')
        done.append(task.name)
        return check(task)

    monkeypatch.setattr(split_preparation, 'check_image', check_some)
    with pytest.raises(OSError, match='no space'):
        prepare('refshapes', [root], tmp_path / 'out')
    assert done == ['one.jpg', 'two.png', 'three.jpg']
    done.clear()
    prepare('refshapes', [root], tmp_path / 'out')
    assert done == ['three.jpg']  # of val
    assert verify(tmp_path / 'out') == []


def test_a_split_without_its_broken_entries_is_done_again_if_none_may_be_missing(root, tmp_path, monkeypatch):
    content = (root / 'images/three.jpg').read_bytes()
    (root / 'images/three.jpg').write_bytes(b'')
    monkeypatch.setattr(preparing, '_install', lambda *args: None)
    prepare('refshapes', [root], tmp_path / 'out', skip_broken=True)
    with pytest.raises(ValueError, match='three.jpg is empty'):
        prepare('refshapes', [root], tmp_path / 'out')
    (root / 'images/three.jpg').write_bytes(content)
    monkeypatch.undo()
    prepare('refshapes', [root], tmp_path / 'out')
    assert read_manifest(tmp_path / 'out')['splits']['train'] == {'refs': 3, 'images': 3, 'expressions': 4, 'broken': 0}


def test_the_second_run_does_nothing(root, tmp_path):
    assert prepare('refshapes', [root], tmp_path / 'out')
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert not prepare('refshapes', ['/nowhere'], tmp_path / 'out')
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before


def test_an_lmdb_holds_what_is_asked_for_without_one(root, tmp_path):
    prepare('refshapes', [root], tmp_path / 'out', lmdb=True)
    assert not prepare('refshapes', [], tmp_path / 'out')


def test_other_data_is_left_alone(root, tmp_path):
    prepare('refshapes', [root], tmp_path / 'out')
    with pytest.raises(FileError, match='holds refshapes, prepared without --lmdb: choose another'):
        prepare('refshapes', [root], tmp_path / 'out', lmdb=True)
    with pytest.raises(FileError, match='holds refshapes'):
        prepare('refcoco-unc', [root], tmp_path / 'out')
    with pytest.raises(FileError, match='holds images, instances.json, .* was not made by this tool'):
        prepare('refshapes', [root], root)


def test_annotations_that_changed_meanwhile(root, content, tmp_path, monkeypatch):
    monkeypatch.setattr(preparing, '_install', lambda *args: None)
    prepare('refshapes', [root], tmp_path / 'out')
    monkeypatch.undo()
    content['refs'][0]['sentences'][0]['sent'] = 'changed'
    write_refcoco(root, content)
    prepare('refshapes', [root], tmp_path / 'out')
    assert JSONLinesDataset(str(tmp_path / 'out')).get_data_info(0)['text'] == 'changed'


def test_the_order_is_kept(root, content, tmp_path):
    """Also where the referents of an image, which is read once, stand apart."""
    sentence = {**content['refs'][0]['sentences'][0], 'sent_id': 9}
    content['refs'].insert(3, {**content['refs'][0], 'ref_id': 9, 'sentences': [sentence]})
    write_refcoco(root, content)
    prepare('refshapes', [root], tmp_path / 'out')
    assert [referent['ref_id'] for referent in JSONLinesDataset(str(tmp_path / 'out')).referents()] == [0, 1, 2, 9]


def test_one_at_a_time(root, tmp_path):
    (tmp_path / 'out/.unfinished').mkdir(parents=True)
    with locked_file(tmp_path / 'out/.unfinished/lock', ''), pytest.raises(FileError, match='by another process'):
        prepare('refshapes', [root], tmp_path / 'out')
    assert prepare('refshapes', [root], tmp_path / 'out')


def test_what_another_process_prepared_meanwhile_is_left_alone(root, tmp_path, monkeypatch):
    """It ends between this one's look at the folder and its lock."""
    def prepare_first(work_dir):
        monkeypatch.undo()
        prepare('refshapes', [root], tmp_path / 'out')
        before.update(_tree(tmp_path / 'out'))
        work_dir.mkdir()

    before = {}
    monkeypatch.setattr(preparing, 'check_writable', prepare_first)
    assert not prepare('refshapes', [root], tmp_path / 'out')
    assert _tree(tmp_path / 'out') == before and not (tmp_path / 'out/.unfinished').exists()


@pytest.mark.parametrize('lmdb', [False, True])
def test_the_number_of_workers_changes_nothing(root, tmp_path, lmdb):
    for workers in (1, 2):
        prepare('refshapes', [root], tmp_path / str(workers), lmdb=lmdb, workers=workers)
    assert _tree(tmp_path / '1') == _tree(tmp_path / '2')


@pytest.fixture
def recipe(monkeypatch):
    """Change the recipe of the tiny data set."""

    def change(**changes):
        changed = RECIPES['refshapes']._replace(**changes)
        monkeypatch.setattr(preparing, 'RECIPES', {**RECIPES, 'tiny': changed})

    return change


def test_counts(root, tmp_path, recipe):
    right = {'train': SplitSize(3, 3, 4), 'val': SplitSize(1, 1, None)}
    recipe(counts=right)
    prepare('tiny', [root], tmp_path / 'right')
    assert read_manifest(tmp_path / 'right')['warnings'] == []
    recipe(counts={**right, 'train': SplitSize(3, 3, 5)})
    prepare('tiny', [root], tmp_path / 'few')
    assert read_manifest(tmp_path / 'few')['warnings'] == ['train has 4 expressions; 5 are published']
    for counts, message in (({'train': SplitSize(4, None, None)}, 'split train has 3 refs, but must have 4'),
                            ({'train': SplitSize(None, 2, None)}, 'split train has 3 images, but must have 2'),
                            ({'testA': SplitSize(1, 1, 1)}, 'have no split testA, but tiny has')):
        recipe(counts=counts)
        with pytest.raises(ValueError, match=message):
            prepare('tiny', [root], tmp_path / 'wrong')


def test_broken_entries_count(root, content, tmp_path, recipe):
    content['annotations'][1]['segmentation'] = [[1, 2]]
    content['refs'][2]['ann_id'] = 99
    content['refs'].append({**content['refs'][0], 'ref_id': 9, 'split': 'val', 'image_id': 'one'})
    write_refcoco(root, content)
    recipe(counts={'train': SplitSize(3, 3, 4)})
    with pytest.raises(ValueError, match='ref_id 2 refers to id 99'):
        prepare('tiny', [root], tmp_path / 'out')
    prepare('tiny', [root], tmp_path / 'out', skip_broken=True)
    counts = read_manifest(tmp_path / 'out')['splits']['train']
    assert counts == {'refs': 1, 'images': 1, 'expressions': 2, 'broken': 2}
    first, second, third = json.loads((tmp_path / 'out/broken.json').read_text())
    assert third['split'] == 'val' and "ref_id 9: 'image_id' must be of type int" in third['entry']
    assert first['split'] == second['split'] == 'train'
    assert 'ref_id 2 refers to id 99' in first['entry']
    assert 'ref_id 1: annotation 12 of the image' in second['entry'] and 'three points' in second['entry']
    assert verify(tmp_path / 'out') == []


@pytest.mark.parametrize('lmdb', [False, True])
@pytest.mark.parametrize('damage, message', [
    (lambda image: image.write_bytes(image.read_bytes()[:-100]), 'one.jpg cannot be decoded: it is cut off'),
    (lambda image: shutil.copy(image.with_name('two.png'), image), r'is \(40, 20\) \(H, W\), but'),
    (lambda image: image.unlink(), 'its image one.jpg is not among the files'),
])
def test_broken_images(root, tmp_path, damage, message, lmdb):
    damage(root / 'images/one.jpg')
    with pytest.raises(ValueError, match=f'split train, ref_id 0: .*{message}.*--skip-broken') as caught:
        prepare('refshapes', [root], tmp_path / 'out', lmdb=lmdb)
    assert '..' not in str(caught.value)
    prepare('refshapes', [root], tmp_path / 'out', lmdb=lmdb, skip_broken=True)
    assert len(json.loads((tmp_path / 'out/broken.json').read_text())) == 1
    assert verify(tmp_path / 'out') == []


def test_names_of_images_that_lead_elsewhere(root, content, tmp_path):
    (tmp_path / 'secret.jpg').write_bytes((root / 'images/one.jpg').read_bytes())
    content['images'][0]['file_name'] = '../../secret.jpg'
    (root / 'instances.json').write_text(json.dumps({key: content[key] for key in ('images', 'annotations')}))
    with pytest.raises(ValueError, match="image 1: 'file_name' must be a path below its folder.*'../../secret.jpg'"):
        prepare('refshapes', [root], tmp_path / 'out')


def test_no_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='^name the folders that hold the files with --src'):
        prepare('refcoco-unc', [], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_what_json_cannot_hold(root, tmp_path, monkeypatch):
    load = RefCOCODataset.load_referents
    monkeypatch.setattr(RefCOCODataset, 'load_referents',
                        lambda self: [{**referent, 'score': np.float32(1)} for referent in load(self)])
    with pytest.raises(ValueError, match='ref_id 0 holds what JSON cannot: .*float32'):
        prepare('refshapes', [root], tmp_path / 'out')


def test_without_processes_nothing_is_read(tmp_path):
    with pytest.raises(ValueError, match='workers must be 1 or more, got 0'):
        prepare('refcoco-unc', [tmp_path / 'missing'], tmp_path / 'out', workers=0)


def test_unknown_name(root, tmp_path):
    with pytest.raises(ValueError, match="there is no recipe for 'refcoc', only for refcoco-unc, "):
        prepare('refcoc', [root], tmp_path / 'out')


@pytest.mark.parametrize('name', ['.unfinished', '.unfinished/annotations', '.unfinished/images', '.unfinished/deep/er',
                                  '.unfinished/annotations/train.jsonl', '.unfinished/data.lmdb'])
def test_links_in_a_folder_of_others_lead_nowhere(root, tmp_path, name):
    victim, out_dir = tmp_path / 'victim', tmp_path / 'out'
    for folder in ('annotations', 'images'):
        (victim / folder).mkdir(parents=True)
        (victim / folder / 'precious').write_text('precious')
    before = _tree(victim)
    (out_dir / name).parent.mkdir(parents=True)
    (out_dir / name).symlink_to(victim if '.' not in name[1:] else victim / 'images/precious')
    with pytest.raises(FileError, match='is a link'):
        prepare('refshapes', [root], out_dir, lmdb='lmdb' in name)
    assert _tree(victim) == before


@pytest.mark.parametrize('name', ['settings.json', 'train.finished.json', 'annotations/train.jsonl', 'images/one.jpg',
                                  'data.lmdb'])
def test_a_pipe_in_a_folder_of_others(root, tmp_path, name):
    """Nobody waits for what comes out of it."""
    path = tmp_path / 'out/.unfinished' / name
    path.parent.mkdir(parents=True)
    os.mkfifo(path)
    with pytest.raises(FileError, match=f'{name} is a link or no file, which this tool never makes'):
        prepare('refshapes', [root], tmp_path / 'out', lmdb='lmdb' in name)


def test_what_a_user_put_beside_an_interrupted_preparation_stays(root, tmp_path):
    out = tmp_path / 'out'
    (out / '.unfinished').mkdir(parents=True)
    (out / '.unfinished/settings.json').write_text('of other files')
    (out / 'images').mkdir()
    (out / 'images/mine.jpg').write_text('precious')
    with pytest.raises(FileError, match='holds images, which came there after an interrupted preparation'):
        prepare('refshapes', [root], out)
    assert (out / 'images/mine.jpg').read_text() == 'precious'


def test_going_on_with_a_damaged_lmdb(root, tmp_path):
    """LMDB itself would end the process."""
    prepare('refshapes', [root], tmp_path / 'whole', lmdb=True)
    content = (tmp_path / 'whole/data.lmdb').read_bytes()
    (tmp_path / 'out/.unfinished').mkdir(parents=True)
    (tmp_path / 'out/.unfinished/data.lmdb').write_bytes(content[:len(content) // 2])
    with pytest.raises(InputError, match='cut off.*delete .*unfinished'):
        prepare('refshapes', [root], tmp_path / 'out', lmdb=True)
