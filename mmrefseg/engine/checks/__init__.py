"""What ``CheckSetupHook`` looks at before a run: each check raises an error that says how to mend the config."""
from .batch_size import check_batch_size
from .input_size import check_input_sizes
from .leakage import check_leakage

__all__ = ['check_batch_size', 'check_input_sizes', 'check_leakage']
