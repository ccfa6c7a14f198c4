from .boundary import boundary, boundary_counts
from .expression_groups import group_expressions
from .gres import gres_ratios, summarise_gres
from .iou import intersection_and_union, iou_ratios, pixel_counts, summarise_iou
from .masks_under_protocol import logits_on, predicted_mask, truth_mask
from .mutual_information import Information, Preference, information, preferences
from .paired_comparison import (
    Estimate,
    FigureDifference,
    PairedDifference,
    Spread,
    compare_figures,
    estimate_figures,
    paired_difference,
    spread_over_seeds,
)
from .phrasecut import PhraseCutSubsets, summarise_subsets
from .ratios import Ratio, percentages

__all__ = ['Estimate', 'FigureDifference', 'Information', 'PairedDifference', 'PhraseCutSubsets', 'Preference', 'Ratio',
           'Spread', 'boundary', 'boundary_counts', 'compare_figures', 'estimate_figures', 'gres_ratios',
           'group_expressions', 'information', 'intersection_and_union', 'iou_ratios', 'logits_on', 'paired_difference',
           'percentages', 'pixel_counts', 'predicted_mask', 'preferences', 'spread_over_seeds', 'summarise_gres',
           'summarise_iou', 'summarise_subsets', 'truth_mask']
