"""The figure that the best checkpoint is chosen by must be one that is reported."""
import pytest
from helpers.toy_runner import ToyMetric, toy_runner
from mmengine.evaluator import Evaluator

from mmrefseg.errors import InputError
from mmrefseg.evaluation import DumpPredictions, GRESMetric, PhraseCutMetric, ReferringIoUMetric, summarise_gres


def before_train(folder, save_best, *metrics):
    hook = dict(type='AtomicCheckpointHook', interval=2, by_epoch=False, save_best=save_best, rule='greater')
    runner = toy_runner(folder, [1.0, 2.0], val_evaluator=Evaluator(list(metrics)),
                        default_hooks=dict(checkpoint=hook))
    next(hook for hook in runner.hooks if type(hook).__name__ == 'AtomicCheckpointHook').before_train(runner)
    return runner


@pytest.mark.parametrize(('save_best', 'metrics', 'given'), [
    ('mIoU', [GRESMetric()], 'gIoU, cIoU, N-acc, T-acc, Pr@70, Pr@80, Pr@90'),
    ('mIoU', [ReferringIoUMetric(prefix='val', thresholds=[50])], 'val/mIoU, val/oIoU, val/Pr@50'),
    (['mIoU', 'gIoU'], [ReferringIoUMetric(thresholds=[75])], 'mIoU, oIoU, Pr@75'),
    ('Pr@55', [PhraseCutMetric(thresholds=[50])], 'mIoU, oIoU, Pr@50'),
])
def test_a_figure_that_nobody_gives(tmp_path, save_best, metrics, given):
    with pytest.raises(InputError, match='save_best names .*') as error:
        before_train(tmp_path, save_best, *metrics, DumpPredictions(str(tmp_path / 'a.json')))
    assert f'give {given}.' in str(error.value)


@pytest.mark.parametrize(('save_best', 'metrics'), [
    ('mIoU', [ReferringIoUMetric()]), ('auto', [ReferringIoUMetric(prefix='x')]),
    ('x/mIoU', [ReferringIoUMetric(prefix='x')]),
    (['mIoU', 'gIoU'], [ReferringIoUMetric(), GRESMetric(prefix='')]), (None, [GRESMetric()]),
    ('foreign', [ToyMetric([1.0]), ReferringIoUMetric()])])
def test_figures_that_are_given_or_may_be(tmp_path, save_best, metrics):
    before_train(tmp_path, save_best, *metrics)


def test_a_foreign_metric_without_the_figure(tmp_path):
    """It can only be seen once it has reported."""
    hook = dict(type='AtomicCheckpointHook', interval=2, by_epoch=False, save_best='gIoU', rule='greater')
    runner = toy_runner(tmp_path, [1.0, 2.0], default_hooks=dict(checkpoint=hook))
    with pytest.raises(InputError, match="save_best names 'gIoU', but val_evaluator's metrics give mIoU"):
        runner.train()


def test_metrics_give_what_they_say():
    metric = ReferringIoUMetric(thresholds=[60])
    assert metric.figures == list(metric.compute_metrics([(0, 0, 0, '', 1, 2, 1, 1, 2)]))
    metric = GRESMetric(thresholds=[60])
    assert metric.figures == list(summarise_gres([60, 0], [60, 0], [60, 0], 50, [60]))


def test_validation_without_a_best_checkpoint(tmp_path):
    toy_runner(tmp_path, [1.0, 2.0]).train()
    assert sorted(path.name for path in tmp_path.glob('*.pth')) == ['iter_2.pth', 'iter_4.pth']
