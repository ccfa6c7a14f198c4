import torch
from mmengine.model import BaseModule
from torch import nn

from mmrefseg.utils.model_complexity import count_parameters, parameter_rows, parameter_table


class Encoder(BaseModule):
    """Pretrained but for an adapter; of the pretrained parameters, only the bias trains."""

    def __init__(self, checkpoint='encoder.pth'):
        super().__init__(checkpoint and dict(type='Pretrained', checkpoint=checkpoint))
        self.linear = nn.Linear(40, 50)
        self.linear.weight.requires_grad_(False)
        self.adapter = nn.Linear(3, 4, bias=False)

    def new_parts(self):
        return (self.adapter, )


class Foreign(BaseModule):

    def __init__(self, init_cfg):
        super().__init__(init_cfg)
        self.linear = nn.Linear(5, 6)


class Model(nn.Module):

    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.backbone = Foreign(dict(type='Pretrained', checkpoint='weights.pth'))
        self.neck = Foreign([dict(type='Kaiming', layer='Linear')])
        self.head = nn.ModuleList([nn.Linear(7, 1), self.neck.linear])
        self.head[0].requires_grad_(False)
        self.activation = nn.ReLU()
        self.scale = nn.Parameter(torch.ones(()))


EXPECTED = [
    ('encoder', (2062, 62)), ('  pretrained', (2050, 50)), ('  new', (12, 12)),
    ('backbone', (36, 36)), ('  pretrained', (36, 36)),
    ('neck', (36, 36)),
    ('head', (44, 36)),
    # the layer that two parts share counts once
    ('whole model', (2143, 135)), ('  pretrained', (2086, 86)), ('  new', (57, 49)),
]


def test_counts_by_hand():
    assert parameter_rows(Model()) == EXPECTED
    assert count_parameters(Model()) == ((2086, 86), (57, 49))
    assert count_parameters(nn.ReLU()) == ((0, 0), (0, 0))


def test_random_weights_are_not_pretrained():
    assert count_parameters(Encoder(checkpoint=None)) == ((0, 0), (2062, 62))
    assert 'pretrained' not in parameter_table(Encoder(checkpoint=None))


def test_table():
    with torch.device('meta'):
        lines = parameter_table(Model()).splitlines()
    assert lines[0].split() == ['part', 'total', 'trainable', 'share']
    assert [line.split() for line in lines[2:]] == [
        [*name.split(), f'{total:,}', f'{trainable:,}', f'{100 * trainable / total:.2f}%']
        for name, (total, trainable) in EXPECTED
    ]
    assert lines[3].split() == ['pretrained', '2,050', '50', '2.44%']
    assert len({len(line) for line in lines}) == 1
    assert not any(line.endswith(' ') for line in lines)
