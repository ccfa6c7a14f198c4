"""Models as folders of data that others can load: a config without code, weights, and a card."""
from .hub import HUB, pull, push
from .packs import find_pack, is_pack, read_pack, write_pack

__all__ = ['HUB', 'find_pack', 'is_pack', 'pull', 'push', 'read_pack', 'write_pack']
