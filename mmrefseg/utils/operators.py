"""mmcv's compiled operators; whoever cannot import them is told how to get them."""
from .requirements import MEND

try:
    import mmcv.ops  # noqa: F401
except ImportError as error:
    raise ImportError(f"mmcv's compiled operators cannot be imported ({error}): perhaps they were built for another "
                      f'PyTorch.\n{MEND}') from error
