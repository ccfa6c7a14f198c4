from .export_check import check_export
from .exporting import export_model

__all__ = ['check_export', 'export_model']
