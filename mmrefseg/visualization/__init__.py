from .answers import Answer, draw_answers
from .curves import draw_curves
from .log import find_runs, read_log
from .masks import fade_background, show_mask
from .pairs import Pair, draw_pairs
from .routing import draw_routing
from .samples import Sample, draw_samples
from .statistics import draw_statistics

__all__ = ['Answer', 'Pair', 'Sample', 'draw_answers', 'draw_curves', 'draw_pairs', 'draw_routing', 'draw_samples',
           'draw_statistics', 'fade_background', 'find_runs', 'read_log', 'show_mask']
