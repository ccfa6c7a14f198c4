from .gres import summarise_gres
from .iou import intersection_and_union, summarise_iou
from .paired import PairedDifference, Spread, paired_difference, spread_over_seeds
from .phrasecut import PhraseCutSubsets, summarise_subsets
from .protocols import cris_mask

__all__ = ['PairedDifference', 'PhraseCutSubsets', 'Spread', 'cris_mask', 'intersection_and_union',
           'paired_difference', 'spread_over_seeds', 'summarise_gres', 'summarise_iou', 'summarise_subsets']
