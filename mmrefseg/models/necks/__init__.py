from .cris_fpn import CRISFPN
from .sera_fusion import SERAFusion

__all__ = ['CRISFPN', 'SERAFusion']
