"""Predictions in files: reading, finding their expressions, counting."""
from .counting import count_predictions
from .matching import Matched, match_predictions, refuse_strangers
from .prediction import Prediction
from .reading import PROTOCOLS_KEY, Predictions, read_predictions
from .reannotation import Reannotated, reannotate

__all__ = ['PROTOCOLS_KEY', 'Matched', 'Prediction', 'Predictions', 'Reannotated', 'count_predictions',
           'match_predictions', 'read_predictions', 'reannotate', 'refuse_strangers']
