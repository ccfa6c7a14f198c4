"""Pictures of samples, and the visualizer that hands them on."""
import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmengine.visualization import Visualizer

from mmrefseg.errors import InputError, InputTypeError
from mmrefseg.registry import VISUALIZERS
from mmrefseg.structures import RefSegDataSample
from mmrefseg.structures.letterbox import letterbox_matrix
from mmrefseg.visualization import ReferringVisualizer, SampleView, draw_sample
from mmrefseg.visualization.mask_overlays import heat_map
from mmrefseg.visualization.referring_visualizer import view_of

IMAGE = np.full((360, 180, 3), 100, np.uint8)
TRUTH, ANSWER = np.zeros((360, 180), np.uint8), np.zeros((360, 180), np.uint8)
TRUTH[100:200, 40:140] = 1
ANSWER[150:250, 40:140] = 1
TOP, STEP = 66, 180 + 12  # of the panels, which are as large as the image


def test_panels_by_hand():
    """Truth in green, answer in pink, probabilities from dark to bright, a bar of routing."""
    probability = np.zeros((360, 180))
    probability[:, 90:] = 1
    routing = {'fusion.0': {'spatial': 0.25, 'shape': 0.75}}
    shown = draw_sample(SampleView(IMAGE, 'the cup', TRUTH, ANSWER, probability, routing)).astype(int)
    assert shown.shape == (TOP + 360 + 26, 12 + 3 * STEP + 360 + 12, 3)
    truth, answer, heat = (shown[TOP:TOP + 360, left:left + 180] for left in range(12, 12 + 3 * STEP, STEP))
    assert (truth[150, 90] == [65, 139, 109]).all() and (truth[300, 90] == 100).all()  # 0.35 of #00d47e
    assert (truth[150, 40] == [0, 212, 126]).all()
    assert (answer[200, 90] == [154, 81, 112]).all() and (answer[120, 90] == 100).all()  # 0.35 of #ff2d87
    assert (answer[200, 40] == [255, 45, 135]).all()
    assert heat[10, 10].sum() < 130 and heat[10, 170].sum() > 500
    bar = shown[TOP + 24, 12 + 3 * STEP:][:360]
    assert (bar[:90] == bar[0]).all() and (bar[90:] == bar[90]).all() and (bar[0] != bar[90]).any()
    assert (shown[:TOP] < 128).any() and (shown[TOP + 360:] < 128).any()


def test_only_what_is_known_is_drawn():
    alone = draw_sample(SampleView(IMAGE, ''))
    assert (alone[TOP:TOP + 360, 12:192] == 100).all()
    for view in (SampleView(IMAGE, '', TRUTH), SampleView(IMAGE[:90, :45], '', TRUTH[:90, :45])):
        assert draw_sample(view).shape == alone.shape
    with pytest.raises(InputError, match='both must have one size'):
        draw_sample(SampleView(IMAGE, '', TRUTH[1:]))


def test_iou():
    assert SampleView(IMAGE, '', TRUTH, ANSWER).iou == 5000 / 15000
    assert SampleView(IMAGE, '', 0 * TRUTH, 0 * TRUTH).iou == 1 and SampleView(IMAGE, '', 0 * TRUTH, ANSWER).iou == 0
    assert SampleView(IMAGE, '', TRUTH).iou is None


@pytest.mark.parametrize('text', ['<script>', '🦊 ' * 50, 'الكأس الأحمر', '红色的杯子', '\ud800\0', 'x' * 100_000, ''])
def test_any_expression(text):
    shown = draw_sample(SampleView(IMAGE, text, TRUTH))
    assert (shown[:TOP - 8, 12:-12] < 128).any() == bool(text.strip())
    assert (shown[:, :2] == 255).all() and (shown[:, -2:] == 255).all()


def test_nan_stays_grey():
    probability = np.array([[0.0, 1.0, np.nan]], np.float32)
    assert heat_map(IMAGE[:1, :3], probability)[0, 2].tolist() == [100, 100, 100]
    assert heat_map(IMAGE[:1, :3], probability, 1)[0, :2].tolist() == [[0, 0, 4], [252, 255, 164]]


def sample():
    """Answered at a network's input of 90 pixels."""
    made = RefSegDataSample(gt_sem_seg=PixelData(data=torch.from_numpy(TRUTH)[None]),
                            pred_sem_seg=PixelData(data=torch.from_numpy(ANSWER)[None]),
                            seg_logits=PixelData(data=torch.full((1, 30, 30), 9.0)))
    made.set_metainfo(dict(text='the cup', ori_shape=(360, 180), img_shape=(90, 90),
                           warp_matrix=letterbox_matrix(360, 180, 90), routing={'fusion.0': {'a': 1.0}}))
    return made


def test_what_a_sample_has():
    view = view_of(IMAGE, sample())
    assert view.expression == 'the cup' and view.iou == 1 / 3 and view.routing == {'fusion.0': {'a': 1.0}}
    assert view.probability.shape == (360, 180) and view.probability[180, 90] > 0.99
    assert view_of(IMAGE, sample(), draw_pred=False)[3:] == (None, None, None)
    assert view_of(IMAGE, sample(), draw_gt=False).truth is None
    assert view_of(IMAGE, RefSegDataSample(metainfo=dict(text='a')))[1:] == ('a', None, None, None, None)


def test_files_of_the_visualizer(tmp_path):
    """The local backend's and one's own hold what is drawn."""
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        visualizer = VISUALIZERS.build(dict(type='ReferringVisualizer', name=f'visualizer of {tmp_path}',
                                            vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path)))
    assert type(visualizer) is ReferringVisualizer and isinstance(visualizer, Visualizer)
    visualizer.add_datasample('val_3', IMAGE, sample(), step=20)
    visualizer.add_datasample('val_3', IMAGE, sample(), out_file=tmp_path / 'own/a.png')
    expected = draw_sample(view_of(IMAGE, sample()))
    for path in (tmp_path / 'vis_data/vis_image/val_3_20.png', tmp_path / 'own/a.png'):
        assert (cv2.imread(str(path))[:, :, ::-1] == expected).all()
    assert len(list(tmp_path.rglob('*.png'))) == 2
    with pytest.raises(InputTypeError, match="has no setting 'backends'; did you mean 'vis_backends'"):
        ReferringVisualizer(backends=[])
