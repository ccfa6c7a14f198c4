import json
import logging
import pickle

import numpy as np
import pytest
from helpers.refcoco_files import write_refs_on_images
from mmengine.config import Config
from torch.utils.data import DataLoader

import mmrefseg
from mmrefseg.datasets import BaseReferringDataset, RefCOCODataset, ReferringMixture
from mmrefseg.datasets.refer_pickle import load_refer_pickle
from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS

_PIPELINE = ({'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}, {'type': 'SampleSentence'},
             {'type': 'Letterbox', 'size': 28}, {'type': 'PackRefSegInputs'})


@pytest.fixture
def first(tmp_path):
    return write_refs_on_images(tmp_path / 'first', {'train': [1, 2, 3, 4, 5, 5], 'val': [6], 'testA': [7]})


@pytest.fixture
def second(tmp_path):
    return write_refs_on_images(tmp_path / 'second', {'train': [1, 6, 7, 8, 9], 'val': [2], 'test': [5, 10]}, 'umd')


def _texts(dataset):
    return [dataset.get_data_info(i)['text'] for i in range(len(dataset))]


@pytest.fixture
def logged(caplog, monkeypatch):
    """What is logged, also where another test has made a logger of mmengine's the current one."""
    monkeypatch.setattr('mmrefseg.datasets.referring_mixture.print_log',
                        lambda message, logger, level=logging.INFO: logging.log(level, message))
    caplog.set_level(logging.INFO)
    return caplog


def test_images_that_any_source_holds_out_are_left_out(first, second, logged):
    mixture = ReferringMixture([first, second])
    assert _texts(mixture) == ['first 1', 'first 3', 'first 4', 'second 1', 'second 8', 'second 9']
    assert [record.getMessage() for record in logged.records] == [
        f'{first["data_root"]} (unc) train: 3 of 6 refs left out, whose images are held out',
        f'{second["data_root"]} (umd) train: 2 of 5 refs left out, whose images are held out']
    held_out = {'coco/2', 'coco/5', 'coco/6', 'coco/7', 'coco/10'}
    assert not held_out & {mixture.get_data_info(i)['image_key'] for i in range(len(mixture))}


def test_samples_are_those_of_the_sources(first, second):
    mixture = ReferringMixture([first, second], unit='ref')
    source = RefCOCODataset(second['data_root'], 'umd', unit='ref')
    expected = {**source.get_data_info(3), 'sample_idx': 4, 'image_key': 'coco/8'}
    assert mixture.get_data_info(4) == expected
    assert mixture.get_data_info(4)['segmentation'] == [[0, 0, 8, 0, 8, 4, 0, 4]]


def test_a_single_source_that_splits_objects_not_images(tmp_path):
    source = write_refs_on_images(tmp_path / 'google', {'train': [1, 2, 3], 'val': [3, 4]})
    assert _texts(ReferringMixture([source])) == ['google 1', 'google 2']


def test_other_data_sets_can_be_kept_clean_too(first, second, tmp_path, logged):
    benchmark = write_refs_on_images(tmp_path / 'benchmark', {'train': [4], 'val': [3], 'testB': [9]})
    mixture = ReferringMixture([first, second], held_out=[first, second, benchmark])
    assert _texts(mixture) == ['first 1', 'first 4', 'second 1', 'second 8']
    assert not [record for record in logged.records if record.levelno > logging.INFO]


def test_a_mixture_that_leaks_is_refused(first, second):
    with pytest.raises(ValueError) as error:
        ReferringMixture([first, second], held_out=[first])
    a, b = f'{first["data_root"]} (unc)', f'{second["data_root"]} (umd)'
    lines = str(error.value).splitlines()
    assert lines[1:-1] == [f'  {a} train: 1 refs on 1 images of {b} val',
                           f'  {a} train: 2 refs on 1 images of {b} test']
    assert 'allow_leakage=True' in lines[-1]


def test_leakage_by_consent(first, second, logged):
    mixture = ReferringMixture([first, second], held_out=[first], allow_leakage=True)
    assert _texts(mixture) == ['first 1', 'first 2', 'first 3', 'first 4', 'first 5', 'first 5',
                               'second 1', 'second 8', 'second 9']
    assert 'hold out' in logged.records[-1].getMessage()
    assert logged.records[-1].levelno == logging.WARNING
    assert len(ReferringMixture([first, second], held_out=(), allow_leakage=True)) == 11


def test_consent_removes_nothing_from_what_is_left_out(first, second):
    assert _texts(ReferringMixture([first, second], allow_leakage=True)) == _texts(ReferringMixture([first, second]))


def test_training_on_a_held_out_split_is_refused(first, second):
    with pytest.raises(ValueError, match=r'second \(umd\) test: every one of its 2 refs is on a held-out image, of \S+'
                                         r'second \(umd\) test \(2 images\)\. '):
        ReferringMixture([first, dict(second, split='test')])


def test_splits_that_hold_out_everything_are_named(tmp_path):
    """A part of the training images beside them, under a name of its own."""
    own = write_refs_on_images(tmp_path / 'own', {'train': [1, 2, 2], 'train_small': [1, 2], 'val': [3], 'test': [2]})
    with pytest.raises(ValueError, match=r'train: every one of its 3 refs is on a held-out image, of \S+own \(unc\) '
                                         r'train_small \(2 images\), \S+own \(unc\) test \(1 images\)\. Every split '
                                         'that is not called train is held out'):
        ReferringMixture([own])


@pytest.mark.parametrize('again', ['first', 'second/../first', 'link'])
def test_the_same_source_twice_is_refused(first, second, tmp_path, again):
    (tmp_path / 'link').symlink_to(tmp_path / 'first')
    other = dict(first, data_root=str(tmp_path / again))
    with pytest.raises(ValueError, match=rf'datasets names {other["data_root"]} \(unc\) train twice'):
        ReferringMixture([first, second, other], lazy_init=True)
    ReferringMixture([first, dict(first, split='val')], lazy_init=True)
    ReferringMixture([first, second], held_out=[first, first], lazy_init=True)


def test_each_source_is_read_once(first, second, monkeypatch):
    reads = []
    monkeypatch.setattr('mmrefseg.datasets.refcoco.load_refer_pickle',
                        lambda path: (reads.append(path), load_refer_pickle(path))[1])
    mixture = ReferringMixture([first, second])
    assert len(mixture) == 6 and len(mixture.images()) == 5
    assert len(reads) == 2


def test_images_of_its_own(first, second):
    mixture = ReferringMixture([first, second], lazy_init=True)
    assert mixture.images() == {f'coco/{i}' for i in (1, 3, 4, 8, 9)}
    assert ReferringMixture([first, second], held_out=[second], lazy_init=True).images() == {
        f'coco/{i}' for i in (1, 3, 4, 6, 7, 8, 9)}


def test_nothing_is_copied_from_the_sources(first, second):
    mixture = ReferringMixture([first, second], unit='ref')
    referents = mixture.referents()
    arrays = [value.nbytes for value in vars(referents).values() if isinstance(value, np.ndarray)]
    assert sum(arrays) == 3 * 8 * len(mixture)
    assert referents[-1]['image_key'] == 'coco/9'
    with pytest.raises(IndexError):
        referents[len(mixture)]


def test_sets_made_anew_under_the_same_numbers_are_kept_apart(tmp_path):
    made = [dict(write_refs_on_images(tmp_path / name, {'train': [1, 2], 'val': [3 - i]}), image_source=None)
            for i, name in enumerate(('seed0', 'seed1'))]
    mixture = ReferringMixture(made, lazy_init=True)
    assert mixture.images() == {f'{tmp_path}/seed0/1', f'{tmp_path}/seed0/2', f'{tmp_path}/seed1/1'}
    assert _texts(mixture) == ['seed0 1', 'seed0 2', 'seed1 1']


def test_data_sets_of_other_classes(first, tmp_path):
    """JSON Lines that name COCO's images, in a mixture with RefCOCO's files."""
    (tmp_path / 'own/annotations').mkdir(parents=True)
    (tmp_path / 'own/images').mkdir()

    def write(split, image_ids):
        lines = [{'image': f'{i}.jpg', 'expressions': [f'own {i}', 'x'], 'mask': [[0, 0, i, 0, i, 4]], 'height': 8,
                  'width': 8, 'image_key': f'coco/{i}', 'note': 'passed on'} for i in image_ids]
        text = '\n'.join(map(json.dumps, lines))
        (tmp_path / f'own/annotations/{split}.jsonl').write_text(text)

    write('train', [6, 8])
    write('val', [5])
    own = {'type': 'JSONLinesDataset', 'data_root': str(tmp_path / 'own')}
    mixture = ReferringMixture([own, first], unit='ref')
    infos = [mixture.get_data_info(i) for i in range(len(mixture))]
    assert [info['sentences'][0]['text'] for info in infos] == ['own 8', 'first 1', 'first 2', 'first 3', 'first 4']
    assert [len(info['sentences']) for info in infos] == [2, 1, 1, 1, 1]
    assert (infos[0]['note'], infos[0]['image_key']) == ('passed on', 'coco/8')


def test_files_of_other_names_in_one_folder_are_another_data_set(tmp_path):
    (tmp_path / 'images').mkdir()
    for name, image in (('a_train', 1), ('a_val', 2), ('b_train', 2), ('b_val', 3)):
        line = {'image': f'{image}.jpg', 'expression': name, 'mask': None, 'height': 8, 'width': 8,
                'image_key': f'own/{image}'}
        (tmp_path / f'{name}.jsonl').write_text(json.dumps(line))
    a, b = ({'type': 'JSONLinesDataset', 'data_root': str(tmp_path), 'ann_file': f'{name}_{{split}}.jsonl'}
            for name in 'ab')
    with pytest.raises(ValueError, match=r'\(b_\{split\}.jsonl\) train: every one of its 1 refs is on a held-out '
                                         r'image, of \S+ \(a_\{split\}.jsonl\) val'):
        ReferringMixture([a, b])


def test_no_source():
    with pytest.raises(ValueError, match='datasets is empty'):
        ReferringMixture([])


def test_errors_name_the_source(first, second, tmp_path):
    path = tmp_path / 'second' / 'refs(umd).p'
    refs = json.loads(json.dumps(load_refer_pickle(path)))  # dictionaries that can be changed
    refs[3]['sentences'][0]['sent'] = ' '
    path.write_bytes(pickle.dumps(refs))
    with pytest.raises(ValueError, match='second: ref_id 3, sent_id 3: the expression is empty'):
        ReferringMixture([first, second])
    with pytest.raises(FileNotFoundError, match=r'nowhere is missing'):
        ReferringMixture([first], held_out=[first, dict(first, data_root=str(tmp_path / 'nowhere'))])


class _OtherNumbers(RefCOCODataset):
    """A data set with ids of its own, most of whose images are COCO's under another number."""

    def image_key(self, referent):
        number = referent['image_id']
        return f'own/{number}' if number == 102 else f'coco/{number - 100}'


def test_images_are_compared_by_the_key_of_their_data_set(first, tmp_path):
    write_refs_on_images(tmp_path / 'other', {'train': [101, 106, 7], 'val': [102, 103]})
    other = _OtherNumbers(tmp_path / 'other')
    assert isinstance(other, BaseReferringDataset)
    mixture = ReferringMixture([first, other])
    assert _texts(mixture) == ['first 1', 'first 2', 'first 4', 'first 5', 'first 5', 'other 101', 'other 7']


def test_lazy_loading_and_subsets(first, second, tmp_path):
    mixture = ReferringMixture([first, second], lazy_init=True)
    whole = ReferringMixture([first, second])
    assert not mixture._fully_initialized
    assert _texts(mixture) == _texts(whole)
    assert _texts(ReferringMixture([first, second], indices=[4, 0])) == ['second 8', 'first 1']
    ReferringMixture([dict(first, data_root=str(tmp_path / 'nowhere'))], lazy_init=True)  # reads nothing yet


@pytest.mark.parametrize('context, workers', [('fork', 2), ('forkserver', 1)])
def test_workers(first, second, context, workers):
    config = {'type': 'ReferringMixture', 'datasets': [first, second], 'unit': 'ref', 'pipeline': _PIPELINE}
    mixture = DATASETS.build(config)
    loader = DataLoader(mixture, batch_size=2, num_workers=workers, multiprocessing_context=context, collate_fn=list)
    samples = [item['data_samples'] for batch in loader for item in batch]
    assert [sample.text for sample in samples] == [
        'first 1', 'first 3', 'first 4', 'second 1', 'second 8', 'second 9']


def test_its_own_images_by_split(first, second):
    mixture = ReferringMixture([first, second], lazy_init=True)
    assert mixture.images_by_split() == {
        'train': {f'coco/{i}' for i in (1, 2, 3, 4, 5, 6, 7, 8, 9)}, 'val': {'coco/2', 'coco/6'},
        'testA': {'coco/7'}, 'test': {'coco/5', 'coco/10'}}
    assert mixture.title == f'{first["data_root"]} (unc) + {second["data_root"]} (umd)'


def test_the_config_is_left_as_it_was(first, second):
    config = {'type': 'ReferringMixture', 'datasets': [first, second]}
    before = pickle.dumps(config)
    DATASETS.build(config)
    assert pickle.dumps(config) == before


def test_the_config_of_the_three_sets(tmp_path, monkeypatch):
    """All their files in the folders that the README names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data/coco/train2014').mkdir(parents=True)
    write_refs_on_images(tmp_path / 'data/refcoco', {'train': [1, 2, 3], 'val': [4], 'testA': [5]})
    write_refs_on_images(tmp_path / 'data/refcoco+', {'train': [1, 2, 6], 'val': [4], 'testB': [7]})
    write_refs_on_images(tmp_path / 'data/refcocog', {'train': [1], 'val': [8]}, 'google')  # not a source
    write_refs_on_images(tmp_path / 'data/refcocog', {'train': [1, 4, 5, 7, 8], 'val': [2], 'test': [9]}, 'umd')
    config = Config.fromfile(mmrefseg.config_path('_base_/datasets/refcoco-mixed.py'))
    mixture = DATASETS.build(dict(config.train_dataloader.dataset, pipeline=[]))
    found = [sentence['text'] for i in range(len(mixture)) for sentence in mixture.get_data_info(i)['sentences']]
    assert found == ['refcoco 1', 'refcoco 3', 'refcoco+ 1', 'refcoco+ 6', 'refcocog 1', 'refcocog 8']
    assert mixture.get_data_info(0)['img_path'] == 'data/refcoco/../coco/train2014/1.jpg'
    assert config.val_dataloader.dataset.data_root == 'data/refcoco'


@pytest.mark.parametrize('setting', [dict(split='val'), dict(data_root='a'), dict(data_prefix={}), dict(ann_file='b'),
                                     dict(ignore_orientation=True)])
def test_settings_that_only_the_sources_have(first, setting):
    with pytest.raises(InputError, match=f'ReferringMixture has no setting {next(iter(setting))}: its data sets have'):
        ReferringMixture([first], **setting)
