"""Imported first by all that needs OpenMMLab's packages: ends the import with the reason where they are not there."""
from mmrefseg.errors import MissingPackageError

from .requirements import why_not

if why_not():
    raise MissingPackageError(why_not())
