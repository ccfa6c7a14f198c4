"""Making every part of mmrefseg known to the registries."""
from .lazy_imports import import_all

PARTS = ('apis', 'datasets', 'engine', 'evaluation', 'models', 'visualization')


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all that registers itself; needed only where parts are built without a config's default scope.

    Args:
        init_default_scope: make ``mmrefseg`` the default scope too, so that types need no prefix. Default True.
    """
    for part in PARTS:
        import_all(f'mmrefseg.{part}')
    if init_default_scope:
        import mmengine.registry  # here, as commands that need no registry start without it
        mmengine.registry.init_default_scope('mmrefseg')
