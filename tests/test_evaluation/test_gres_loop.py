"""gRefCOCO from its files to its figures."""
import pytest
import torch
from helpers.grefcoco_files import tiny_grefcoco, write_grefcoco
from helpers.toy_runner import toy_runner
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

import mmrefseg
from mmrefseg.datasets import GRefCOCODataset
from mmrefseg.evaluation import GRESMetric
from mmrefseg.registry import MODELS

# The share of the image, from the left, that is predicted for an expression; None for the ground truth.
ANSWERS = {'both cups': None, 'all that is red': 0, 'the corner': 1, 'a dog': 0, 'the sleeping cat': 1, 'tall man': 0.5}
TEST = ({'type': 'LoadReferringImage'}, {'type': 'Letterbox', 'size': 112}, {'type': 'LoadReferringMask'},
        {'type': 'PackRefSegInputs'})
TRAIN = ({'type': 'LoadReferringImage'}, {'type': 'LoadReferringMask'}, {'type': 'Letterbox', 'size': 112},
         {'type': 'PackRefSegInputs'})


@pytest.fixture
def root(tmp_path):
    return str(write_grefcoco(tmp_path / 'tiny', tiny_grefcoco()))


class Oracle(BaseModel):
    """Gives the answers above."""

    def forward(self, inputs, data_samples, mode='tensor'):
        for sample in data_samples:
            answer = ANSWERS[sample.text]
            prediction = sample.gt_sem_seg.data.clone()
            if answer is not None:
                prediction[:] = 0
                prediction[..., :int(answer * prediction.shape[-1])] = 1
            sample.pred_sem_seg = PixelData(data=prediction)
        return data_samples


def test_loop(root, tmp_path):
    dataset = dict(type='GRefCOCODataset', data_root=root, split='val', pipeline=TEST)
    runner = toy_runner(
        tmp_path / 'work', model=Oracle(), test_cfg={}, test_evaluator=dict(type='GRESMetric'),
        test_dataloader=dict(
            dataset=dataset, batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False)))
    figures = runner.test()
    # Cups: 284 of 284 pixels, then 0; corner: 100 of 768; dog rightly and cat wrongly answered, the latter with
    # all of 800; man: columns 1 and 2 of 20, half of 800 predicted.
    ious = [1, 0, 100 / 768, 1, 0, 80 / 400]
    assert figures == pytest.approx({
        'gIoU': 100 * sum(ious) / 6, 'cIoU': 100 * (284 + 100 + 80) / (284 + 284 + 768 + 800 + 400), 'N-acc': 50,
        'T-acc': 75, 'Pr@70': 25, 'Pr@80': 25, 'Pr@90': 25})


def test_a_model_trains_and_answers_where_there_is_no_target(root):
    mmrefseg.register_all_modules(init_default_scope=False)
    config = Config.fromfile(mmrefseg.config_path('sera_tiny_refshapes'))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(config.model)
        optimizer = build_optim_wrapper(model, config.optim_wrapper)
    train = GRefCOCODataset(root, split='val', pipeline=TRAIN)
    batch = pseudo_collate([train[i] for i in (3, 4)])
    assert not any(sample.gt_sem_seg.data.any() for sample in batch['data_samples'])
    log = model.train_step(batch, optimizer)
    assert log and all(torch.isfinite(value).all() for value in log.values())
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    test = GRefCOCODataset(root, split='val', pipeline=TEST)
    metric = GRESMetric()
    model.eval()
    answers = model.test_step(pseudo_collate([test[i] for i in range(len(test))]))
    metric.process(None, [answer.to_dict() for answer in answers])
    assert [target for *_, target in metric.results] == [284, 284, 100, 0, 0, 80]
    assert set(metric.evaluate(6)) >= {'gIoU', 'N-acc', 'T-acc'}
