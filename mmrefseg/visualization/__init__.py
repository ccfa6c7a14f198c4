from .charts import draw_routing, draw_statistics
from .image_grids import Answer, Pair, Sample, draw_answers, draw_pairs, draw_samples, fade_background, show_mask
from .training_curves import draw_curves, find_runs, read_log

__all__ = ['Answer', 'Pair', 'Sample', 'draw_answers', 'draw_curves', 'draw_pairs', 'draw_routing', 'draw_samples',
           'draw_statistics', 'fade_background', 'find_runs', 'read_log', 'show_mask']
