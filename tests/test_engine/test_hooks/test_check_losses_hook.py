import pytest
import torch
from helpers.toy_runner import ToyDataset, ToyModel, toy_runner

from mmrefseg.engine import CheckLossesHook
from mmrefseg.structures import RefSegDataSample

HOOKS = [dict(type='CheckLossesHook')]


class SamplesDataset(ToyDataset):
    """Each input comes with a sample."""

    def __getitem__(self, index):
        return {**super().__getitem__(index),
                'data_samples': RefSegDataSample(metainfo={'img_path': f'{index}.jpg', 'text': f'thing {index}'})}


class SpoiledModel(ToyModel):
    """Has a second loss that is ``values[i]`` in iteration i."""

    def __init__(self, values):
        super().__init__()
        self.values = iter(values)

    def forward(self, x, data_samples=None, mode='tensor'):
        return {'loss_mse': super().forward(x, mode)['loss'], 'decode.loss_raf': torch.tensor(next(self.values)),
                'acc': torch.tensor(float('nan'))}


def run(tmp_path, values):
    runner = toy_runner(
        tmp_path, model=SpoiledModel(values), custom_hooks=HOOKS,
        train_dataloader=dict(dataset=SamplesDataset(), batch_size=4, num_workers=0,
                              sampler=dict(type='DefaultSampler', shuffle=False)))
    runner.train()


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_names_the_loss_and_the_samples(tmp_path, value):
    with pytest.raises(ValueError, match=rf'iteration 2: loss = {value}, decode\.loss_raf = {value};') as error:
        run(tmp_path, [0.0, value])
    assert str(error.value).splitlines()[1:] == [f"  {index}.jpg: 'thing {index}'" for index in range(4, 8)]
    assert not list(tmp_path.glob('*.pth'))


def test_no_checkpoint_of_spoiled_weights(tmp_path):
    with pytest.raises(ValueError, match='iteration 4'):
        run(tmp_path, [0.0, 0.0, 0.0, float('nan')])
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']


def test_finite_losses_pass(tmp_path):
    run(tmp_path, [1e30, 0.0, -1.0, 1.0])


def test_batches_of_other_kinds(tmp_path):
    toy_runner(tmp_path, custom_hooks=HOOKS).train()
    CheckLossesHook().after_train_iter(runner=None, batch_idx=0)
