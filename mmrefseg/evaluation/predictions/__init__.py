"""Predictions in files: reading, finding their expressions, counting."""
from .matching import Matched, match_predictions, refuse_strangers
from .prediction import Prediction
from .reading import PROTOCOLS_KEY, Predictions, read_predictions
from .reannotation import Reannotated, reannotate
from .scoring import score_predictions

__all__ = ['PROTOCOLS_KEY', 'Matched', 'Prediction', 'Predictions', 'Reannotated', 'match_predictions',
           'read_predictions', 'reannotate', 'refuse_strangers', 'score_predictions']
