"""The sample that travels from the pipeline through the model to the metric."""
from mmseg.structures import SegDataSample


class RefSegDataSample(SegDataSample):
    """One image and one referring expression, with ground truth and prediction.

    The tensors are those of MMSegmentation's ``SegDataSample``, so its tools read them too:

    - ``gt_sem_seg`` (PixelData): ``data`` uint8 (1, H, W), 1 on the referent. At the network's input size in
      training; at the image's original size in testing.
    - ``pred_sem_seg`` (PixelData): ``data`` uint8 (1, H0, W0), 1 on the predicted referent, original size.
    - ``seg_logits`` (PixelData): ``data`` float32 (1, h, w), the head's logits in the frame of the network's
      input, at the head's own resolution.

    Text and origin live in the metainfo, read as attributes (``sample.text``):

    - ``text`` (str): the expression.
    - ``kind`` (str): how the expression refers (``attribute``, ``location``, ...); ``''`` where unknown.
    - ``ref_id``, ``sent_id``, ``ann_id``, ``image_id`` (int); ``task_id`` (str, PhraseCut's name of an expression).
    - ``sample_idx`` (int): the sample's place in its data set.
    - ``img_path`` (str) and ``image_folder``, below which it lies; ``ori_shape`` and ``img_shape`` (H, W),
      ``scale_factor`` (w, h).
    - ``warp_matrix``: 2×3 float64 array, maps original to input pixel coordinates (x, y); the segmentor inverts it.
    - ``threshold`` (float): the probability at which the segmentor cut ``pred_sem_seg``.
    - ``routing``: router → expert → weight, where ``test_cfg=dict(routing=True)`` asked for it.
    - ``img_padding_size`` (left, right, top, bottom): the letterbox's borders in pixels, as mmseg undoes padding.
    - ``shared_image``: samples of a batch where it is the same have one image between them, prepared in the same way.
    """
