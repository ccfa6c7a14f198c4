"""Loss and routing over a training."""
import cv2
import pytest

from mmrefseg.visualization import draw_curves
from mmrefseg.visualization import training_curves as curves


def make_log(routers: dict[str, tuple[str, ...]]) -> dict[int, dict[str, float]]:
    log = {}
    for step in (50, 100, 150):
        log[step] = {'loss': 1 / step, 'decode.loss_ce': 0.5 / step, 'loss_router_z': 0.0, 'lr': 1e-3, 'time': 0.2}
        for router, experts in routers.items():
            for i, expert in enumerate(experts):
                log[step][f'routing/{router}/{expert}/weight'] = i / 10
                log[step][f'routing/{router}/{expert}/chosen'] = 0.5
    return log


@pytest.fixture
def draw(monkeypatch):
    figures = []
    monkeypatch.setattr(curves, 'save_figure', lambda figure, path: figures.append(figure))

    def call(log):
        draw_curves(log, 'curves.png')
        return figures.pop()

    return call


def test_panels(draw):
    log = make_log({'adapter.1': ('spatial', 'boundary'), 'fusion.0': ('spatial', 'shape')})
    log[150] |= {'mIoU': 50.0}
    figure = draw(log)
    loss, rate, *routers = figure.axes
    assert [line.get_label() for line in loss.lines] == ['loss (sum)', 'decode.loss_ce', 'loss_router_z']
    assert loss.lines[0].get_xydata().tolist() == [[50, 1 / 50], [100, 1 / 100], [150, 1 / 150]]
    assert rate.lines[0].get_ydata().tolist() == [1e-3] * 3
    assert [ax.get_title(loc='left') for ax in routers] == ['adapter.1: mean weights', 'fusion.0: mean weights']
    lines = {line.get_label(): line for line in routers[0].lines}
    assert lines['boundary'].get_ydata().tolist() == [0.1] * 3
    assert all(ax.get_ylim() == (0, 1) for ax in routers)
    legend, = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ['spatial', 'boundary', 'shape']


def test_an_expert_has_one_colour(draw):
    figure = draw(make_log({'a': ('spatial', 'boundary'), 'b': ('boundary', 'spatial')}))
    first, second = ({line.get_label(): line.get_color() for line in ax.lines[1:]} for ax in figure.axes[2:])
    assert first == second and len(set(first.values())) == 2


@pytest.mark.parametrize('number', [0, 1, 3, 10, 24])
def test_any_number_of_routers(draw, number):
    figure = draw(make_log({f'adapter.{i}': ('spatial', 'boundary') for i in range(number)}))
    assert len(figure.axes) == 2 + number
    assert bool(figure.legends) == (number > 0)


def test_is_a_picture(tmp_path):
    draw_curves(make_log({'adapter.1': ('spatial', 'boundary')}), tmp_path / 'curves.png')
    assert cv2.imread(str(tmp_path / 'curves.png')).shape[1] == 1800


def test_no_loss():
    with pytest.raises(ValueError, match="no 'loss'"):
        draw_curves({10: {'mIoU': 3.0}}, 'curves.png')
