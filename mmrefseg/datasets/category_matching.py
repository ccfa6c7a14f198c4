"""Finding the categories that an expression names."""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

_WORD = re.compile(r'\w+')
_LONGEST_NAME = 16  # words


class NameIndex(NamedTuple):
    """Names of categories, for finding them in a text whose words alone count, however many categories there are.

    Args:
        meant: keys of the categories by what may be said: a name in singular or plural.
        longest: words of the longest of these.
    """

    meant: Mapping[str, set[str]]
    longest: int

    @classmethod
    def of(cls, names: Mapping[str, str]) -> NameIndex:
        """The index of names of up to 16 words.

        Args:
            names: names of the categories by their keys.
        """
        meant, longest = defaultdict(set), 0
        for key, name in names.items():
            words = name.lower().split(' ')
            if len(words) <= _LONGEST_NAME:
                longest = max(longest, len(words))
                for end in ('', 's', 'es'):
                    meant[f'{name.lower()}{end}'].add(key)
        return cls(meant, longest)

    def said(self, text: str) -> set[str]:
        """Keys of the categories that a text names.

        Args:
            text: a referring expression.
        """
        words = _WORD.findall(text.lower())
        spans = (' '.join(words[start:start + length]) for start in range(len(words))
                 for length in range(1, self.longest + 1))
        return set().union(*(self.meant.get(span, ()) for span in spans))
