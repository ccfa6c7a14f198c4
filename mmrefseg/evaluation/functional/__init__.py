from .gres import summarise_gres
from .iou import intersection_and_union, summarise_iou
from .paired import PairedDifference, Spread, paired_difference, spread_over_seeds
from .phrasecut import PhraseCutSubsets, summarise_subsets

__all__ = ['PairedDifference', 'PhraseCutSubsets', 'Spread', 'intersection_and_union',
           'paired_difference', 'spread_over_seeds', 'summarise_gres', 'summarise_iou', 'summarise_subsets']
