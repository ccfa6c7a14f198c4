"""PhraseCut's figures, against those of its official evaluator."""
import json
import shutil

import pytest
import torch
from helpers.phrasecut_files import tiny_phrasecut, write_phrasecut
from mmengine.structures import PixelData

from mmrefseg.datasets import PhraseCutDataset
from mmrefseg.evaluation import PhraseCutMetric
from mmrefseg.evaluation.functional import PhraseCutSubsets, summarise_subsets
from mmrefseg.structures import RefSegDataSample
from mmrefseg.structures.mask_formats import draw_mask, rle_to_mask

ACCURACIES = {'0.5': 'Pr@50', '0.6': 'Pr@60', '0.7': 'Pr@70', '0.8': 'Pr@80', '0.9': 'Pr@90'}


@pytest.fixture(scope='module')
def folder(golden_folder):
    return golden_folder / 'phrasecut_mini'


@pytest.fixture(scope='module')
def samples(folder):
    """One for each phrase, with the stored prediction."""
    predictions = json.loads((folder / 'predictions.json').read_text())
    samples = []
    for phrase in PhraseCutDataset(str(folder), 'test', data_prefix={'img_path': '.'}).referents():
        size = phrase['height'], phrase['width']
        masks = draw_mask(phrase['segmentation'], *size), rle_to_mask(predictions[phrase['task_id']], *size)
        sample = RefSegDataSample(metainfo={'task_id': phrase['task_id'], 'img_path': phrase['img_path']})
        sample.gt_sem_seg, sample.pred_sem_seg = (PixelData(data=torch.from_numpy(mask)[None]) for mask in masks)
        samples.append(sample.to_dict())
    return samples


def evaluate(samples, folder, **settings):
    metric = PhraseCutMetric(**settings)
    metric.dataset_meta = PhraseCutDataset(folder, 'test', lazy_init=True).metainfo
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def check_figures(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, figures in theirs.items():
        expected = {'count': figures['count'], 'mIoU': figures['mean_mask_iou'], 'oIoU': figures['cum_mask_iou'],
                    **{ours: figures['pred_mask_acc'][key] for key, ours in ACCURACIES.items()}}
        assert ours[name].pop('count') == expected.pop('count')
        assert {key: value / 100 for key, value in ours[name].items()} == pytest.approx(expected, rel=0, abs=1e-12)


def expected_figures(folder, which):
    return json.loads((folder / 'expected.json').read_text())[which]


def test_equals_the_official_evaluator(folder, samples, tmp_path):
    figures = evaluate(samples, folder, vocabulary=str(folder / 'vocabulary.json'), out_dir=str(tmp_path))
    written = json.loads((tmp_path / 'subsets_test.json').read_text())
    assert written.keys() == {'subsets', 'missing'}
    assert written['missing'] == []
    assert figures == {name: value for name, value in written['subsets']['all'].items() if name != 'count'}
    check_figures(written['subsets'], expected_figures(folder, 'complete')['results'])


def test_missing_predictions(folder, samples, tmp_path):
    """They count as empty ones, beside the evaluator's figures, which leave them out."""
    expected = expected_figures(folder, 'missing')
    answered = [sample for sample in samples if sample['task_id'] not in expected['dropped']]
    settings = dict(vocabulary=str(folder / 'vocabulary.json'), out_dir=str(tmp_path))
    figures = evaluate(answered, folder, **settings)
    written = json.loads((tmp_path / 'subsets_test.json').read_text())
    assert written['missing'] == expected['dropped']
    assert figures['answered/mIoU'] == pytest.approx(100 * expected['results']['all']['mean_mask_iou'], rel=1e-12)
    check_figures(written['answered_subsets'], expected['results'])
    for sample in samples:
        if sample['task_id'] in expected['dropped']:
            sample = {**sample, 'pred_sem_seg': {'data': torch.zeros_like(sample['gt_sem_seg']['data'])}}
            answered.append(sample)
    whole = evaluate(answered, folder, **settings)
    assert {name: value for name, value in figures.items() if '/' not in name} == whole
    assert json.loads((tmp_path / 'subsets_test.json').read_text())['subsets'] == written['subsets']


def test_subsets_of_words_need_a_vocabulary(folder, samples, tmp_path):
    evaluate(samples, folder, out_dir=str(tmp_path))
    subsets = json.loads((tmp_path / 'subsets_test.json').read_text())['subsets']
    missing = expected_figures(folder, 'complete')['results'].keys() - subsets.keys()
    assert missing == {'t_stuff', 't_obj', 'a_color', 'a_shape', 'a_material', 'a_texture', 'a_adj', 'a_noun', 'a_loc',
                       'a_count'}


@pytest.mark.parametrize('processes', [2, 3])
def test_any_number_of_processes(folder, samples, processes):
    """The results of all processes as mmengine joins them; those of the first samples come twice."""
    results = []
    for rank in range(processes):
        metric = PhraseCutMetric(str(folder), 'test')
        metric.process(None, (samples + samples[:processes])[rank::processes])
        results += metric.results
    assert len(results) > len(samples)
    assert metric.compute_metrics(results) == evaluate(samples, folder)


def test_rules_at_their_limits():
    """The evaluator counts ranks from 0, and several instances stop where many begin."""
    names = [f'thing{rank}' for rank in range(600)]
    rules = PhraseCutSubsets(names, names, {'stuff': ['sky'], 'color': ['thing3']})

    def found(name='x', attributes=(), relations=(), kind='name', instances=1, of_coco=False, area=10, pixels=100):
        structure = dict(name=name, attributes=attributes, relation_descriptions=relations, type=kind)
        return set(rules.of(structure, instances, of_coco, area, pixels))

    assert found() == {'all', 'c500+', 'i_single', 'p_name', 't_obj', 's_mid', 'a200+', 'd_notcocotv'}
    assert [sorted(name for name in found(f'thing{rank}') if name[0] == 'c')
            for rank in (0, 19, 20, 99, 100, 499, 500)] == [
        *[['c100', 'c20', 'c500']] * 2, *[['c100', 'c21-100', 'c500']] * 2, *[['c101-500', 'c500']] * 2, ['c500+']]
    assert [sorted(name for name in found(attributes=[f'thing{rank}', 'rare']) if name[0] == 'a' and name != 'all')
            for rank in (3, 19, 20, 100, 199, 200)] == [
        ['a100', 'a20', 'a200', 'a_color'], ['a100', 'a20', 'a200'], ['a100', 'a200', 'a21-100'],
        *[['a101-200', 'a200']] * 2, ['a200+']]
    assert [[name for name in found(instances=number) if name[0] == 'i'] for number in (0, 1, 2, 4, 5)] == [
        [], ['i_single'], ['i_multi'], ['i_multi'], ['i_many']]
    assert [[name for name in found(area=area, pixels=1000) if name[0] == 's'] for area in (19, 20, 200, 201)] == [
        ['s_small'], ['s_mid'], ['s_mid'], ['s_large']]
    assert {'t_stuff', 'd_cocotv'} <= found('skyline', of_coco=True)
    assert 'c_coco' in found('dog')
    assert {name for name in found(attributes='ab', relations=[['on', 'x']] * 2, kind='verbose') if name[0] == 'p'} == {
        'p_att', 'p_attm', 'p_rel', 'p_relm', 'p_att_rel', 'p_verbose'}
    with pytest.raises(ValueError, match='the word lists colour are unknown; there are coco, stuff, color'):
        PhraseCutSubsets([], [], {'colour': []})


def test_summary_needs_phrases():
    with pytest.raises(ValueError, match='no phrases to evaluate'):
        summarise_subsets([], [], [])


@pytest.fixture
def root(tmp_path):
    return write_phrasecut(tmp_path, tiny_phrasecut())


def process(root, task_id='3__0', **settings):
    mask = {'data': torch.zeros(1, 24, 32, dtype=torch.uint8)}
    sample = {'task_id': task_id, 'img_path': 'x.jpg', 'gt_sem_seg': mask, 'pred_sem_seg': mask}
    PhraseCutMetric(str(root), 'val', **settings).process(None, [sample])


@pytest.mark.parametrize('task_id', ['1__0', None])
def test_samples_of_another_split(root, task_id):
    with pytest.raises(ValueError, match=rf'x\.jpg has the task_id {task_id}, which split val of .* meta key task_id'):
        process(root, task_id)


def test_where_the_data_set_cannot_tell(root):
    with pytest.raises(ValueError, match='cannot tell .* set data_root and split'):
        PhraseCutMetric(split='val').process(None, [{'task_id': '3__0'}])
    process(root)


@pytest.mark.parametrize('content, error, message', [
    (None, FileNotFoundError, 'is missing'),
    ('{', ValueError, 'not a whole JSON file'),
    ('[]', ValueError, 'must hold a JSON object, but holds a list'),
    ('{"cat": []}', ValueError, "'att' must be of type list"),
    ('{"cat": [["x", 3], ["y"]], "att": []}', ValueError, r'cat\[1\] must be a name and how often it occurs'),
])
def test_broken_counts(root, content, error, message):
    path = root / 'name_att_rel_count.json'
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(error, match=rf'name_att_rel_count\.json.*{message}'):
        process(root)


def test_broken_vocabulary(root):
    (root / 'words.json').write_text('{"stuff": "sky"}')
    with pytest.raises(ValueError, match=r"words\.json: 'stuff' must be a list of words"):
        process(root, vocabulary=str(root / 'words.json'))


def test_a_task_that_occurs_twice(root):
    shutil.copy(root / 'refer_val.json', root / 'refer_miniv.json')
    with pytest.raises(ValueError, match="task_id '3__0' occurs twice"):
        PhraseCutMetric(str(root), 'val_miniv').process(None, [{'task_id': '3__0'}])


def test_says_at_once_that_it_cannot_write(tmp_path):
    (tmp_path / 'taken').write_text('a file where a folder is needed')
    with pytest.raises(OSError, match='cannot write .*taken'):
        PhraseCutMetric(out_dir=str(tmp_path / 'taken'))
