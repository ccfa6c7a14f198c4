"""Settings of Sphinx: sphinx-build -W -c docs -b html . docs/_build

The source folder is the repository, so that the READMEs of the configs are pages, and links are those of a checkout.
"""
from mmrefseg.version import __version__

project = 'mmrefseg'
author = project_copyright = 'The mmrefseg contributors'
release = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
root_doc = 'docs/index'
include_patterns = ['docs/*', 'configs/**/README.md', 'CHANGELOG.md']
exclude_patterns = ['.*', 'build', 'data', 'dist', 'docs/_build', 'mmrefseg', 'pretrained', 'tests', 'work_dirs']
myst_heading_anchors = 3

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # the docstrings say them
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # attributes are members, too

html_theme = 'furo'
html_title = f'mmrefseg {release}'
html_show_sourcelink = False
html_static_path = ['style']
html_css_files = ['wide.css']


def setup(app):
    """Leave out the fields of named tuples, which their docstrings describe as arguments."""
    app.connect('autodoc-skip-member',
                lambda app, what, name, member, skip, options: skip or type(member).__name__ == '_tuplegetter')
