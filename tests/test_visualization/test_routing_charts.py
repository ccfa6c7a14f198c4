"""Mean weights and choices by kind of expression."""
from itertools import pairwise

import cv2
import pytest

from mmrefseg.visualization import bar_charts as routing
from mmrefseg.visualization import draw_routing

COUNTS = {'all': 10, 'attribute': 7, '$new$ kind': 3}
EXPERTS = ('spatial', 'boundary', 'shape')


def make_router(experts=EXPERTS, chosen=1.0):
    return {
        kind: {name: dict(weight=0.1 * i + 0.01 * j, chosen=chosen, first=0.05 * j) for j, name in enumerate(experts)}
        for i, kind in enumerate(COUNTS)}


@pytest.fixture
def draw(monkeypatch):
    figures = []
    monkeypatch.setattr(routing, 'save_figure', lambda figure, path: figures.append(figure))

    def call(routers, *decisions, draw=draw_routing):
        draw(routers, COUNTS, 'routing.png', *decisions)
        return figures.pop()

    return call


def bars(ax):
    return {container.get_label(): [round(bar.get_height(), 3) for bar in container] for container in ax.containers}


def marks(ax):
    return {line.get_label(): line for line in ax.lines if line.get_linestyle() == 'None'}


def test_bars_and_marks(draw):
    ax, = draw({'fusion.0': make_router(chosen=0.7)}).axes
    assert ax.get_title(loc='left') == 'fusion.0: mean weights'
    assert bars(ax) == {'spatial': [0, 0.1, 0.2], 'boundary': [0.01, 0.11, 0.21], 'shape': [0.02, 0.12, 0.22]}
    assert [label.get_text() for label in ax.get_xticklabels()] == ['all\n10', 'attribute\n7', '$new$ kind\n3']
    assert not any(label.get_parse_math() for label in ax.get_xticklabels())
    chosen, first = marks(ax)['share that chose it'], marks(ax)['share that weighted it most']
    assert list(chosen.get_ydata()) == [0.7] * 9
    centres = [bar.get_x() + bar.get_width() / 2 for container in ax.containers for bar in container]
    assert list(first.get_xdata()) == pytest.approx(centres)
    assert list(first.get_ydata()) == [0, 0, 0, 0.05, 0.05, 0.05, 0.1, 0.1, 0.1]


def test_bars_stand_side_by_side(draw):
    ax, = draw({'fusion.0': make_router()}).axes
    sides = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for container in ax.containers for bar in container)
    assert all(right < left for (_, right), (left, _) in pairwise(sides))
    for index, kind in enumerate(sides[i:i + 3] for i in (0, 3, 6)):
        assert (kind[0][0] + kind[-1][1]) / 2 == pytest.approx(index)


def test_choices_of_a_soft_router_are_left_out(draw):
    soft, sparse = draw({'adapter.1': make_router(), 'fusion.0': make_router(chosen=0.99)}).axes
    assert list(marks(soft)) == ['share that weighted it most']
    assert len(marks(sparse)) == 2


def test_an_expert_has_one_colour_and_one_entry(draw):
    figure = draw({'a': make_router(('spatial', 'boundary')), 'b': make_router(('boundary', 'spatial', 'shape'))})
    first, second = ({c.get_label(): c[0].get_facecolor() for c in ax.containers} for ax in figure.axes)
    assert first.items() <= second.items() and len(set(second.values())) == 3
    legend, = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        'spatial', 'boundary', 'shape', 'share that weighted it most']


def test_decisions(draw):
    """A frame around what chance doesn't explain; the entropy in the title."""
    preferences = {kind: {name: dict(p=0.001 if (kind, name) == ('attribute', 'shape') else 0.01) for name in EXPERTS}
                   for kind in list(COUNTS)[1:]}
    figure = draw({'a': make_router(), 'b': make_router()}, {'a': dict(entropy=0.834, preferences=preferences)})
    decided, other = figure.axes
    assert decided.get_title(loc='left') == 'a: mean weights, entropy 0.83'
    assert other.get_title(loc='left') == 'b: mean weights'
    framed = [(container.get_label(), i) for ax in figure.axes for container in ax.containers
              for i, bar in enumerate(container) if bar.get_edgecolor()[3] > 0]
    assert framed == [('shape', 1)]
    assert 'framed' in figure.legends[0].get_title().get_text()
    assert 'framed' not in draw({'a': make_router()}).legends[0].get_title().get_text()


def test_costs(draw):
    costs = {'every router': {'frozen': dict(zip(COUNTS, (1, 2, 3), strict=True))},
             'a': {'frozen': dict(zip(COUNTS, (0.5, 0, -1), strict=True)),
                   'shape': dict(zip(COUNTS, (4, 5, 6), strict=True))}}
    figure = draw(costs, draw=routing.draw_routing_costs)
    every, router = figure.axes
    assert (bars(every), bars(router)) == ({'frozen': [1, 2, 3]}, {'frozen': [0.5, 0, -1], 'shape': [4, 5, 6]})
    assert router.get_title(loc='left') == 'a: loss of mIoU'
    colours = {container.get_label(): container[0].get_facecolor() for container in router.containers}
    assert colours['frozen'] == every.containers[0][0].get_facecolor() != colours['shape']
    assert next(label.get_text() for label in router.get_xticklabels()) == 'all\n10'


@pytest.mark.parametrize('number', [1, 2, 3, 7])
def test_any_number_of_routers(tmp_path, number):
    draw_routing({f'adapter.{i}': make_router() for i in range(number)}, COUNTS, tmp_path / 'routing.png')
    assert cv2.imread(str(tmp_path / 'routing.png')).shape[1] == 1980


def test_no_routers():
    with pytest.raises(ValueError, match='no routers'):
        draw_routing({}, COUNTS, 'routing.png')
