"""What routers do, by kind of expression, of a tiny model with random weights."""
import json
import math
import runpy
import sys
from contextlib import contextmanager
from pathlib import Path

import cv2
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmrefseg.datasets import RefCOCODataset
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.models.layers import Router, RoutingInfo
from mmrefseg.registry import MODELS
from mmrefseg.utils.shipped_files import config_path

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/analyze_routing.py'
KINDS = ('attribute', 'location', 'relation', 'superlative')


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Data, a config with sparse and soft routers, and weights that make the routers decided."""
    folder = tmp_path_factory.mktemp('routing')
    make_refshapes(folder / 'data', {'val': 4, 'testA': 3, 'testB': 1}, seed=1)
    (folder / 'config.py').write_text(
        f'_base_ = {config_path("sera_tiny_refshapes")!r}\n'
        f"data = dict(batch_size=7, num_workers=0, dataset=dict(data_root={str(folder / 'data')!r}))\n"
        'test_dataloader = data\n'
        'model = dict(neck=dict(top_k=2), backbone=dict(adapter=dict(indices=(1, ))))\n')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(Config.fromfile(folder / 'config.py').model)
    for router in model.modules():
        if isinstance(router, Router):
            for parameter in router.parameters():
                parameter.data *= 8
    torch.save(model.state_dict(), folder / 'weights.pth')
    return folder


@pytest.fixture
def command(monkeypatch, folder):

    def call(*arguments, config='config.py', weights='weights.pth'):
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, 'argv', ['analyze_routing.py', config, weights, *map(str, arguments)])
        runpy.run_path(str(TOOL), run_name='__main__')

    return call


def one_by_one(folder, split):
    """Router → kind → [(weights, chosen)] of each expression, in plain lists."""
    config = Config.fromfile(folder / 'config.py')
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(config.model).eval()
        dataset = RefCOCODataset(str(folder / 'data'), split=split, pipeline=config.test_dataloader.dataset.pipeline)
    model.load_state_dict(torch.load(folder / 'weights.pth', weights_only=True))
    seen = {}
    for item in dataset:
        data = model.data_preprocessor({key: [value] for key, value in item.items()})
        with torch.no_grad():
            routing = model.extract_feat(*(data[key] for key in ('inputs', 'token_ids', 'token_mask')))[2]
        for info in routing:
            for kind in ('all', item['data_samples'].kind):
                seen.setdefault(info.name, {}).setdefault(kind, []).append(
                    (info.weights[0].tolist(), info.chosen[0].tolist()))
    return seen


def test_against_expressions_one_by_one(command, folder, tmp_path, capsys):
    command('--split', 'testA', '--out', tmp_path / 'new')
    report = json.loads((tmp_path / 'new/routing.json').read_text())
    assert (report['config'], report['checkpoint'], report['split']) == ('config.py', 'weights.pth', 'testA')
    seen = one_by_one(folder, 'testA')
    assert list(report['routers']) == list(seen) == ['adapter.1', 'fusion.0', 'fusion.1', 'fusion.2']
    assert list(report['expressions']) == ['all', *(kind for kind in KINDS if kind in seen['fusion.0'])]
    assert len(report['expressions']) >= 4
    for router, kinds in report['routers'].items():
        experts = ('spatial', 'boundary') if router == 'adapter.1' else ('spatial', 'contextual', 'boundary', 'shape')
        for kind, figures in kinds.items():
            rows = seen[router][kind]
            assert report['expressions'][kind] == len(rows)
            assert tuple(figures) == experts
            for i, expert in enumerate(experts):
                assert figures[expert] == pytest.approx({
                    'weight': sum(weights[i] for weights, _ in rows) / len(rows),
                    'chosen': sum(chosen[i] for _, chosen in rows) / len(rows),
                    'first': sum(weights[i] == max(weights) for weights, _ in rows) / len(rows),
                }, abs=1e-5)
    chosen = [expert['chosen'] for expert in report['routers']['fusion.0']['all'].values()]
    assert sum(chosen) == pytest.approx(2) and len(set(chosen)) > 1
    assert cv2.imread(str(tmp_path / 'new/routing.png')).std() > 10
    out = capsys.readouterr().out
    assert 'adapter.1: mean weights spatial' in out and f'in {tmp_path / "new"}' in out
    assert 'routing ' in out  # the progress bar


@pytest.fixture
def table():
    return runpy.run_path(str(TOOL))['RoutingTable']()


def info(weights):
    weights = torch.tensor(weights)
    return RoutingInfo('r', ('a', 'b'), weights, weights, weights > 0)


def test_kinds_in_order_and_batches_of_any_size(table):
    table.add([info([[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]])], ['zebra', 'relation', 'zebra'], ['x', 'x', 'y'])
    table.add([info([[0.0, 1.0]])], ['attribute'], ['y'])
    assert list(table.kinds().items()) == [('all', 4), ('attribute', 1), ('relation', 1), ('zebra', 2)]
    summary = table.summary()['r']
    assert summary['zebra'] == {
        'a': dict(weight=0.75, chosen=1.0, first=1.0), 'b': dict(weight=0.25, chosen=0.5, first=0.0)}
    assert summary['all']['b'] == dict(weight=(0.75 + 0.5 + 1) / 4, chosen=0.75, first=0.5)


def test_decisions(table):
    """In each picture the relation gets b and the others a, which are of two kinds."""
    weights = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]] * 10
    table.add([info(weights)], ['attribute', 'location', 'relation'] * 10, [str(i // 3) for i in range(30)])
    decision = table.decisions()['r']
    entropy = -(0.9 * math.log2(0.9) + 0.1 * math.log2(0.1))
    assert decision['entropy'] == pytest.approx(entropy)
    assert decision['kind']['bits'] == pytest.approx(math.log2(3) - 2 / 3)  # H(choice): the kind says it all
    assert decision['kind']['p'] == 0.001
    assert decision['picture'] == dict(bits=pytest.approx(0), chance=pytest.approx(0.2, abs=0.1), p=1.0)
    relation = decision['preferences']['relation']
    assert relation['b']['difference'] == pytest.approx(0.9 - 1.1 / 3, abs=0.03) and relation['b']['p'] == 0.001
    assert list(decision['preferences']) == ['attribute', 'location', 'relation']


def test_a_single_expert_decides_nothing(table):
    weights = torch.ones(3, 1)
    table.add([RoutingInfo('alone', ('only', ), weights, weights, weights > 0)], ['x'] * 3, ['1'] * 3)
    assert table.decisions() == {}


def test_costs_against_one_by_one(command, folder, tmp_path, capsys):
    """Freezing and cutting, of a sparse and of a soft router, each done here to the router's own weights."""
    command('--split', 'testB', '--costs', '--out', tmp_path)
    report = json.loads((tmp_path / 'routing.json').read_text())
    assert list(report['costs']) == ['every router', 'adapter.1', 'fusion.0', 'fusion.1', 'fusion.2']
    assert list(report['costs']['every router']) == ['frozen']
    assert list(report['costs']['adapter.1']) == ['frozen', 'spatial', 'boundary']
    assert list(report['costs']['fusion.2']) == ['frozen', 'spatial', 'contextual', 'boundary', 'shape']
    assert all(list(kinds) == list(report['expressions']) for changes in report['costs'].values()
               for kinds in changes.values())
    config = Config.fromfile(folder / 'config.py')
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(config.model).eval()
        dataset = RefCOCODataset(str(folder / 'data'), split='testB', pipeline=config.test_dataloader.dataset.pipeline)
    model.load_state_dict(torch.load(folder / 'weights.pth', weights_only=True))

    def ious():
        found = []
        for item in dataset:
            sample, = model.test_step({key: [value] for key, value in item.items()})
            pred, truth = sample.pred_sem_seg.data.bool(), sample.gt_sem_seg.data.bool()
            found.append((pred & truth).sum().item() / (pred | truth).sum().item())
        return 100 * sum(found) / len(found)

    own = ious()
    assert report['mIoU']['all'] == pytest.approx(own, abs=1e-3)
    mixture = model.neck.mixtures[1]
    decisions = one_by_one(folder, 'testB')['fusion.1']['all']
    means = [sum(weights[i] for weights, _ in decisions) / len(dataset) for i in range(4)]
    with monkey_router(mixture.router, lambda logits: torch.tensor([means]).expand(len(logits), -1)):
        assert report['costs']['fusion.1']['frozen']['all'] == pytest.approx(own - ious(), abs=1e-3)

    def best_two_but_contextual(logits):
        logits = logits - torch.tensor([0, torch.inf, 0, 0])
        return torch.where(logits >= logits.topk(2).values[:, 1:], logits, -torch.inf).softmax(1)

    with monkey_router(mixture.router, best_two_but_contextual):
        assert report['costs']['fusion.1']['contextual']['all'] == pytest.approx(own - ious(), abs=1e-3)
    assert cv2.imread(str(tmp_path / 'costs.png')).std() > 10
    assert 'with all routing frozen to its mean' in capsys.readouterr().out


@contextmanager
def monkey_router(router, weights_of):
    """The router with other weights."""
    forward = router.forward

    def other(grid, sentence=None):
        routing = forward(grid, sentence)
        weights = weights_of(routing.logits)
        return routing._replace(weights=weights, chosen=weights > 0)

    router.forward = other
    yield
    del router.forward


def test_kinds_from_words_where_the_data_give_none(folder):
    tool = runpy.run_path(str(TOOL))
    item = RefCOCODataset(str(folder / 'data'), split='val', pipeline=Config.fromfile(
        folder / 'config.py').test_dataloader.dataset.pipeline)[0]
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        model = MODELS.build(Config.fromfile(folder / 'config.py').model)
    samples = [item['data_samples'].clone() for _ in range(3)]
    for sample, (text, kind) in zip(samples, [('left cup', ''), ('left cup', 'shopping'), ('a cup', '')], strict=True):
        sample.set_metainfo(dict(text=text, kind=kind))
    table = tool['collect_routing'](model.train(), [dict(inputs=[item['inputs']] * 3, data_samples=samples)])
    assert table.kinds() == {'all': 3, 'attribute': 1, 'location': 1, 'shopping': 1}
    assert not model.training


def test_a_model_without_routers(command, folder, tmp_path):
    plain = str(tmp_path / 'plain.py')
    Path(plain).write_text(f"_base_ = {str(folder / 'config.py')!r}\n"
                           "model = dict(neck=dict(experts=(), top_k=None), backbone=dict(adapter=None))")
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        torch.save(MODELS.build(Config.fromfile(plain).model).state_dict(), tmp_path / 'plain.pth')
    with pytest.raises(SystemExit, match=r'^analyze_routing: the model of .*plain\.py has no routers'):
        command('--out', tmp_path, config=plain, weights=str(tmp_path / 'plain.pth'))


@pytest.mark.parametrize(('arguments', 'weights', 'message'), [
    (['--split', 'testZ'], 'weights.pth', r"no split 'testZ'"),
    ([], 'missing.pth', r'no checkpoint missing\.pth'),
])
def test_mistakes_get_a_message(command, tmp_path, arguments, weights, message):
    with pytest.raises(SystemExit, match=f'^analyze_routing: .*{message}'):
        command(*arguments, '--out', tmp_path, weights=weights)
    assert not list(tmp_path.iterdir())
