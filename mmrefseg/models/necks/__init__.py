from .cris_fpn import CRISFPN
from .deformable_se_projector import DeformableSEProjector
from .sera_fusion import SERAFusion

__all__ = ['CRISFPN', 'DeformableSEProjector', 'SERAFusion']
