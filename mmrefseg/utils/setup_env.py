"""Making every part of mmrefseg known to the registries."""
from importlib import import_module

import mmengine.registry

PARTS = ('apis', 'datasets', 'engine', 'evaluation', 'models', 'visualization')


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all that registers itself; needed only where parts are built without a config's default scope.

    Args:
        init_default_scope: make ``mmrefseg`` the default scope too, so that types need no prefix. Default True.
    """
    for part in PARTS:
        import_module(f'mmrefseg.{part}')
    if init_default_scope:
        mmengine.registry.init_default_scope('mmrefseg')
