from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .muon_adamw import MuonAdamW

__all__ = ['BFloat16OptimWrapper', 'MuonAdamW']
