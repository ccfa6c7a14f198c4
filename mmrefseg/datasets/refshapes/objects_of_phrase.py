"""What a phrase is true of: sets of objects with a margin of doubt.

A phrase such as "left" is clearly true of some objects, clearly false of others, and a matter of taste in between.
Its extension keeps the first set and the first set with the doubtful ones as bit masks over the scene's objects.
"""
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Thing:
    """One object as language sees it; all but ``whole`` is measured on what is visible of it.

    Args:
        shape: its shape's name.
        colour: its colour's name.
        x: centre of its bounding box over the image's width, 0 to 1.
        y: the same over the height, 0 at the top.
        across: the same centre's x over the image's shorter side.
        down: the same centre's y over the image's shorter side.
        side: square root of its area over the image's shorter side.
        whole: the same with the part that others hide; a reader may have either in mind.
    """
    shape: str
    colour: str
    x: float
    y: float
    across: float
    down: float
    side: float
    whole: float


class Extension(NamedTuple):
    """The objects a phrase is true of.

    Args:
        sure: bit i is set where the phrase is clearly true of object i.
        possible: bit i is set where it is not clearly false; a superset of ``sure``.
    """
    sure: int
    possible: int

    def both(self, other: 'Extension') -> 'Extension':
        """What both phrases are true of: the extension of "this and other".

        Args:
            other: what must be true, too.
        """
        return Extension(self.sure & other.sure, self.possible & other.possible)

    @property
    def referent(self) -> int | None:
        """Index of the one object that the phrase is clearly true of, all others being clearly out; else None."""
        single = self.sure == self.possible and self.sure.bit_count() == 1
        return self.sure.bit_length() - 1 if single else None


def bits(truths: Iterable[bool]) -> int:
    """Pack truth values into a mask, the first in bit 0.

    Args:
        truths: one value per object.
    """
    return sum(1 << index for index, truth in enumerate(truths) if truth)


def above(values: list[float], sure: float, possible: float) -> Extension:
    """The extension of "has a large value".

    Args:
        values: one value per object.
        sure: from this value on, it is clearly true.
        possible: below this value, it is clearly false.
    """
    return Extension(bits(value >= sure for value in values), bits(value >= possible for value in values))


def greatest(ranges: list[tuple[float, float]], group: int, margin: float) -> int | None:
    """The object of a group whose value is greatest however the ranges are read.

    Args:
        ranges: least and greatest reading of each object's value.
        group: mask of the two or more objects compared.
        margin: least lead over the second, in the values' unit.

    Returns:
        Its index, or None if none leads by the margin.
    """
    members = [index for index in range(len(ranges)) if group >> index & 1]
    leader = max(members, key=lambda index: ranges[index][0])
    second = max(ranges[index][1] for index in members if index != leader)
    return leader if ranges[leader][0] >= second + margin else None
