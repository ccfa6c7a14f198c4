"""Settings of Sphinx: sphinx-build -W -b html docs docs/_build"""
from mmrefseg.version import __version__

project = 'mmrefseg'
author = 'The mmrefseg contributors'
copyright = author  # noqa: A001
release = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
exclude_patterns = ['_build', 'examples']
myst_heading_anchors = 3
myst_enable_extensions = ['colon_fence']

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # the docstrings say them
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are members, too

html_theme = 'furo'
html_title = f'mmrefseg {__version__}'
html_show_sourcelink = False
