"""What tests and first steps need in place of the real data sets."""
from .refshapes import make_refshapes

__all__ = ['make_refshapes']
