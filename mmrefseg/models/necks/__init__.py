from .sera_fusion import SERAFusion

__all__ = ['SERAFusion']
