"""Metrics under several protocols, of groups and boundaries, in any number of processes."""
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.distributed import run_distributed
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmrefseg.errors import InputError
from mmrefseg.evaluation import DumpPredictions, GRESMetric, ReferringIoUMetric, resolve_protocol, summarise_iou
from mmrefseg.evaluation.functional import boundary_counts, predicted_mask, truth_mask
from mmrefseg.structures import RefSegDataSample, cris_mask, letterbox_matrix

SIZE = 28
PROTOCOLS = ['cris', dict(base='lavt', resolution=(24, 24)), 'lisa']
NAMES = ['cris', 'lavt+resolution', 'lisa']
KINDS = ('location', 'attribute', '')


def make_sample(index):
    """Three sentences per referent, two referents per image; one target in five is empty."""
    random = np.random.default_rng(index)
    shape = (20 + index % 3, 30)
    matrix = letterbox_matrix(*shape, SIZE)
    sample = RefSegDataSample(metainfo=dict(
        image_id=index // 6, ref_id=index // 3, sent_id=index, text='thing ' * (1 + index % 7), kind=KINDS[index % 3],
        img_path=f'/data/images/a/{index // 6}.jpg', ori_shape=shape, img_shape=(SIZE, SIZE), warp_matrix=matrix))
    logits = torch.from_numpy(random.normal(size=(7, 7)).astype(np.float32))
    truth = (random.random(shape) > 0.5) & bool(index % 5)
    sample.gt_sem_seg = PixelData(data=torch.from_numpy(truth.astype(np.uint8))[None])
    sample.seg_logits = PixelData(data=logits[None])
    mask = cris_mask(logits, (SIZE, SIZE), matrix, shape)
    sample.pred_sem_seg = PixelData(data=mask[None].to(torch.uint8))
    return sample


def evaluate(metrics, indices, size, batch_size=2, meta=None):
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = meta or {}
    for start in range(0, len(indices), batch_size):
        evaluator.process([make_sample(index) for index in indices[start:start + batch_size]], None)
    return evaluator.evaluate(size)


def masks_of(sample, setting):
    """Answer and truth by hand from the functional parts."""
    protocol = resolve_protocol(setting)
    answer = predicted_mask(sample.seg_logits.data[0], protocol, sample.warp_matrix, (SIZE, SIZE), sample.ori_shape)
    return answer.numpy(), truth_mask(sample.gt_sem_seg.data[0], protocol).numpy()


def expected_figures(indices, setting, **kwargs):
    pairs = [masks_of(make_sample(index), setting) for index in indices]
    return summarise_iou([int((a & b).sum()) for a, b in pairs], [int((a | b).sum()) for a, b in pairs], **kwargs)


def test_several_protocols_in_one_pass():
    figures = evaluate(ReferringIoUMetric(protocol=PROTOCOLS), range(10), 10)
    expected = {**expected_figures(range(10), 'cris'),
                **{f'lavt+resolution/{name}': value
                   for name, value in expected_figures(range(10), PROTOCOLS[1], comparison='>=').items()},
                **{f'lisa/{name}': value for name, value in expected_figures(range(10), 'lisa', empty_union=1).items()}}
    assert figures == expected
    assert len({figures[name] for name in ('mIoU', 'lavt+resolution/mIoU', 'lisa/mIoU')}) == 3
    assert ReferringIoUMetric(protocol=PROTOCOLS).figures == list(figures)


def test_the_models_mask_counts_where_it_was_made_so():
    """And is made anew from the logits where the model cut elsewhere."""
    sample = make_sample(1)
    sample.pred_sem_seg.data.zero_()
    metric = ReferringIoUMetric()
    metric.process(None, [sample.to_dict()])
    sample.set_metainfo(dict(threshold=0.5))
    metric.process(None, [sample.to_dict()])
    assert [row[-2] for row in metric.results] == [0, int(masks_of(sample, 'cris')[0].sum())]


def test_first_sentences():
    figures = evaluate(ReferringIoUMetric(protocol=dict(base='cris', sentences='first')), range(9), 9)
    assert figures == expected_figures((0, 3, 6), 'cris')
    # In whatever order they come.
    assert figures == evaluate(ReferringIoUMetric(protocol=dict(base='cris', sentences='first')), range(8, -1, -1), 9)


def test_groups_and_boundaries():
    figures = evaluate(ReferringIoUMetric(by=['kind', 'size', 'length'], boundary=True), range(12), 12)
    for name, members in {'kind=location': range(0, 12, 3), 'kind=attribute': range(1, 12, 3), 'size=none': (0, 5, 10),
                          'size=small': (1, 2, 3, 4, 6, 7, 8, 9, 11), 'length=1-2': (0, 1, 7, 8),
                          'length=3-5': (2, 3, 4, 9, 10, 11), 'length=6-10': (5, 6)}.items():
        expected = expected_figures(members, 'cris')
        assert {figure: figures[f'{name}/{figure}'] for figure in expected} == pytest.approx(expected)
    ious = []
    for index in range(12):
        inter, pred, target = boundary_counts(*map(torch.from_numpy, masks_of(make_sample(index), 'cris'))).tolist()
        ious.append(inter / max(pred + target - inter, 1))
    assert figures['bIoU'] == pytest.approx(100 * np.mean(ious)) and 0 < figures['bIoU'] < 100
    groups = {name.partition('/')[0] for name in figures if '/' in name}
    assert groups == {'kind=attribute', 'kind=location', 'size=none', 'size=small', 'length=1-2', 'length=3-5',
                      'length=6-10'}


def test_no_target_figures_under_protocols():
    figures = evaluate(GRESMetric(min_pixels=1, protocol=['cris', 'lisa']), range(10), 10)
    no_answer = [not masks_of(make_sample(index), 'lisa')[0].any() for index in (0, 5)]
    assert figures['lisa/N-acc'] == 100 * np.mean(no_answer)
    assert {'gIoU', 'cIoU', 'N-acc', 'T-acc', 'lisa/gIoU'} <= figures.keys()


@pytest.mark.parametrize('missing', ['seg_logits', 'warp_matrix'])
def test_what_a_protocol_needs(missing):
    sample = make_sample(0).to_dict()
    del sample[missing]
    ReferringIoUMetric().process(None, [sample])
    with pytest.raises(InputError, match=f"the protocol 'lisa' needs .*{missing} is missing"):
        ReferringIoUMetric(protocol='lisa').process(None, [sample])


def all_metrics(out_file):
    return [ReferringIoUMetric(protocol=PROTOCOLS, by=['kind'], boundary=True),
            GRESMetric(min_pixels=20, protocol=['lisa', 'cris'], prefix='gres'),
            ReferringIoUMetric(protocol=dict(base='lisa', sentences='first'), collect_device='cpu', prefix='first'),
            DumpPredictions(str(out_file), PROTOCOLS)]


def on_this_rank(folder):
    """In three processes, and then in two of them; sizes are no multiples of their number."""
    rank = torch.distributed.get_rank()
    for world_size in (3, 2):
        if world_size == 2:
            torch.distributed.destroy_process_group()
            if rank == 2:
                return
            torch.distributed.init_process_group('gloo', f'file://{folder}/of_two', rank=rank, world_size=2)
        for size, batch_size in ((1, 1), (7, 3), (10, 2)):
            indices = list(DefaultSampler(range(size), shuffle=False))
            figures = evaluate(all_metrics(f'{folder}/{world_size}_{size}.json'), indices, size, batch_size)
            Path(folder, f'{world_size}_{size}_{rank}.figures').write_text(json.dumps(figures))


def test_any_number_of_processes(tmp_path, monkeypatch):
    """Figures and files are those of one process, to the last digit."""
    monkeypatch.chdir(tmp_path)
    run_distributed(on_this_rank, tmp_path, str(tmp_path), world_size=3)
    for size in (1, 7, 10):
        alone = evaluate(all_metrics(tmp_path / 'alone.json'), range(size), size, 4)
        for world_size in (2, 3):
            for rank in range(world_size):
                assert json.loads((tmp_path / f'{world_size}_{size}_{rank}.figures').read_text()) == alone
            written = (tmp_path / f'{world_size}_{size}.json').read_bytes()
            assert written == (tmp_path / 'alone.json').read_bytes()


def test_the_order_of_expressions_changes_no_digit():
    orders = [range(30), range(29, -1, -1), np.random.default_rng(0).permutation(30).tolist()]
    first, *others = (evaluate(ReferringIoUMetric(protocol='lisa', boundary=True), order, 30, 7) for order in orders)
    assert all(other == first for other in others)
