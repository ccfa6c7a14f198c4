"""MMEngine's visualizer for samples that a model has answered."""
from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.visualization import Visualizer
from PIL import Image

from mmrefseg.errors import InputError
from mmrefseg.registry import VISUALIZERS
from mmrefseg.structures import RefSegDataSample, cris_scores
from mmrefseg.utils.files import write_atomically

from .sample_picture import SampleView, draw_sample


@VISUALIZERS.register_module()
class ReferringVisualizer(Visualizer):
    """Draws samples: the expression above, then truth, answer with IoU, probabilities and routing side by side.

    Pictures go to MMEngine's backends: files (``LocalVisBackend``), TensorBoard, Weights & Biases or others.
    In all else it is MMEngine's ``Visualizer``.

    Args:
        name: its name among the process's visualizers. Default ``'visualizer'``.
        vis_backends: configs of the backends. Default None: none.
        save_dir: folder of the backends, which write into ``vis_data`` in it. Default None.
        **kwargs: of MMEngine's ``Visualizer``.

    Raises:
        InputError: the name is empty.
    """

    def __init__(self, name: str = 'visualizer', vis_backends: list[dict] | None = None, save_dir: str | None = None,
                 **kwargs) -> None:
        if not name:
            raise InputError('name of ReferringVisualizer is empty; give it one, such as visualizer')
        super().__init__(name, vis_backends=vis_backends, save_dir=save_dir, **kwargs)

    @master_only
    def add_datasample(self,
                       name: str,
                       image: np.ndarray,
                       data_sample: RefSegDataSample | None = None,
                       draw_gt: bool = True,
                       draw_pred: bool = True,
                       show: bool = False,
                       wait_time: float = 0,
                       step: int = 0,
                       out_file: str | Path | None = None) -> None:
        """Draw a sample with its answer, and hand the picture to the backends.

        Args:
            name: what backends call the picture.
            image: RGB uint8 (H, W, 3), at original size.
            data_sample: with ``gt_sem_seg`` and ``pred_sem_seg`` at original size, ``seg_logits`` and ``routing``,
                those that it has. Default None: the image alone.
            draw_gt: whether to draw the truth. Default True.
            draw_pred: whether to draw answer, probabilities and routing. Default True.
            show: whether to open a window, too. Default False.
            wait_time: seconds that the window waits; 0 for a key. Default 0.
            step: of the training. Default 0.
            out_file: a PNG to write instead of handing the picture to the backends. Default None.

        Raises:
            InputError: image and masks differ in size.
            FileError: ``out_file`` cannot be written.
        """
        picture = draw_sample(view_of(image, data_sample, draw_gt, draw_pred))
        if show:
            self.show(picture, name, wait_time)
        if out_file is not None:
            content = BytesIO()
            Image.fromarray(picture).save(content, 'PNG')
            write_atomically(content.getvalue(), out_file)
        else:
            self.add_image(name, picture, step)


def view_of(image: np.ndarray, sample: RefSegDataSample | None, draw_gt: bool = True,
            draw_pred: bool = True) -> SampleView:
    """What a sample has to show.

    Args:
        image: RGB uint8 (H, W, 3), at original size.
        sample: as :meth:`ReferringVisualizer.add_datasample` takes it.
        draw_gt: see there. Default True.
        draw_pred: see there. Default True.
    """
    if sample is None:
        return SampleView(image, '')
    masks = {key: sample.get(key).data[0].cpu().numpy() if wanted and key in sample else None
             for key, wanted in (('gt_sem_seg', draw_gt), ('pred_sem_seg', draw_pred))}
    has_geometry = all(key in sample for key in ('seg_logits', 'warp_matrix', 'img_shape', 'ori_shape'))
    probability = cris_scores(sample.seg_logits.data[0], sample.img_shape[:2], sample.warp_matrix,
                              sample.ori_shape[:2]).clip(0, 1) if draw_pred and has_geometry else None
    return SampleView(image, sample.get('text', ''), masks['gt_sem_seg'], masks['pred_sem_seg'], probability,
                      sample.get('routing') if draw_pred else None)
