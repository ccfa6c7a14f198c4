from typing import TYPE_CHECKING

from mmrefseg.utils.lazy_imports import import_on_demand

__all__ = ['Pair', 'Panel', 'ReferringVisualizer', 'Sample', 'SampleView', 'draw_answers', 'draw_curves', 'draw_pairs',
           'draw_routing', 'draw_routing_costs', 'draw_sample', 'draw_samples', 'draw_statistics', 'fade_background',
           'find_runs', 'overlay_mask', 'read_log', 'show_mask', 'tint_mask']

if TYPE_CHECKING:
    from .answer_pictures import Panel, draw_answers
    from .bar_charts import draw_routing, draw_routing_costs, draw_statistics
    from .mask_overlays import fade_background, overlay_mask, show_mask, tint_mask
    from .pipeline_grid import Pair, draw_pairs
    from .prediction_grid import Sample, draw_samples
    from .referring_visualizer import ReferringVisualizer
    from .sample_picture import SampleView, draw_sample
    from .training_curves import draw_curves, find_runs, read_log

__getattr__, __dir__ = import_on_demand(__name__)
