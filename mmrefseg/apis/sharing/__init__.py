"""Models as folders of data that others can load: a config without code, weights, and a card."""
from .hub import HUB, pull, push
from .model_folder import find_model_folder, is_model_folder, read_model_folder, write_model_folder

__all__ = ['HUB', 'find_model_folder', 'is_model_folder', 'pull', 'push', 'read_model_folder', 'write_model_folder']
