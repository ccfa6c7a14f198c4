"""Look at one's own data before training: tools/analysis_tools/inspect_dataset.py DIR --out DIR"""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from html import escape
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageColor

from mmrefseg.apis import command_line
from mmrefseg.datasets.inspection import TINY, Findings, inspect_folder
from mmrefseg.utils.files import check_writable, write_atomically, write_json
from mmrefseg.visualization import tint_mask
from mmrefseg.visualization.html_page import html_table, page, text, thumbnail

_LISTED = 50
_COLOUR = '#ff5a28'
_SMALL = 0.01  # share of the image from which on a mask is seen in a small picture, too


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(description='Write inspect.html, one page about a folder of JSON Lines, with what to mend '
                                        'first on top, and inspect.json with all its numbers.')
    parser.add_argument('folder', type=Path, metavar='DIR', help='folder with annotations/ and images/')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the two files (default: DIR)')
    parser.add_argument('--num-tokens', type=int, default=17,
                        help='tokens that the text encoder reads, start and end included (default: 17)')
    parser.add_argument('--samples', type=int, default=24, help='pictures on the page (default: 24)')
    return parser


def advice(findings: Findings) -> list[tuple[str, str]]:
    """What to mend first: sentence and key of the list that it is about."""
    told = (('broken', 'broken lines, or masks that do not fit: {}. Mend them, training stops there'),
            ('duplicates', 'pictures in two splits: {}. Figures on them would be too good; keep each in one'),
            ('single', 'images of train that are asked about one object alone, as nearly all of them are: {}. A model '
                       'can learn to find it without reading; annotate several objects per image, in words of their '
                       'own'),
            ('repeated', 'expressions of several lines of one image: {}. Say more, or unite the masks'),
            ('ambiguous', 'expressions that may also mean another object of their image, of which all their words are '
                          'said, too: {}. Say more'),
            ('untrained', 'things that other splits ask for, and train never does: {}. Split anew, or add such'),
            ('too_long', f'expressions of more than {findings.num_tokens} tokens, which would be cut: {{}}. Shorten '
                         'them, or raise num_tokens of the text encoder'),
            ('turned', 'photos that an EXIF orientation turns: {}. See in their samples, the first, whether masks lie '
                       'right; if not, import again with --stored'),
            ('tiny', f'masks that take up less than {100 * TINY:g} % of their image: {{}}. Are they meant?'),
            ('empty', 'lines that refer to nothing: {}. Are they meant?'))
    return [(what.format(len(entries)), key) for key, what in told if (entries := getattr(findings, key))]


def framed_picture(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A sample's picture; a frame shows where its mask is if that can hardly be seen."""
    tinted = tint_mask(image, mask, _COLOUR)
    if not 0 < (mask != 0).mean() < _SMALL:
        return tinted
    thickness = -(-max(image.shape[:2]) // 128)  # some pixels of the thumbnail
    left, top, width, height = cv2.boundingRect((mask != 0).astype(np.uint8))
    away = 2 * thickness
    return cv2.rectangle(tinted, (left - away, top - away), (left + width + away, top + height + away),
                         ImageColor.getrgb(_COLOUR), thickness)


def to_html(findings: Findings, folder: Path) -> str:
    """The page, which needs no other file."""
    found = advice(findings)
    parts = ['<h2>What to mend first</h2>',
             '<ol>' + ''.join(f'<li><a href="#{key}">{text(what)}</a></li>' for what, key in found) + '</ol>'
             if found else '<p>Nothing was found.</p>',
             '<h2>Splits</h2>', html_table(('split', 'images', 'lines', 'expressions', 'broken'), (
                 (split, *numbers.values()) for split, numbers in findings.splits.items())),
             '<h2>Samples</h2><div class="grid">',
             *(f'<figure>{thumbnail(framed_picture(shown.image, shown.mask))}'
               f'<figcaption>{text(shown.caption)}</figcaption></figure>' for shown in findings.samples), '</div>']
    for what, key in found:
        entries = getattr(findings, key)
        more = len(entries) - _LISTED
        title, _, mend = what.partition('. ')
        end = '' if mend.endswith('?') else '.'
        parts += [f'<h2 id="{key}">{escape(title[:1].upper() + title[1:])}</h2><p>{escape(mend)}{end}</p><ul>',
                  *(f'<li>{text(entry)}</li>' for entry in entries[:_LISTED]),
                  f'<li>and {more} more, in inspect.json</li>' if more > 0 else '', '</ul>']
    for split, counts in findings.classes.items():
        parts += [f'<h2>What {text(split)} asks for, by the first noun ({len(counts)})</h2>',
                  html_table((), ((name, number, f'{number / counts.total():.0%}')
                             for name, number in counts.most_common(_LISTED)))]
    for title, counts in (('Tokens per expression', sorted(findings.tokens.items())),
                          ('Where referents lie', findings.positions.most_common()),
                          (f'Most frequent of {len(findings.words)} words', findings.words.most_common(_LISTED))):
        parts += [f'<h2>{title}</h2>', html_table((), counts)]
    return page(folder.name, parts)


def numbers(findings: Findings) -> dict[str, object]:
    """All that the page says, without pictures."""
    lists = ('splits', 'broken', 'duplicates', 'single', 'repeated', 'ambiguous', 'untrained', 'too_long', 'turned',
             'tiny', 'empty')
    return {**{key: getattr(findings, key) for key in lists}, 'tokens': dict(sorted(findings.tokens.items())),
            'words': dict(findings.words.most_common(_LISTED)), 'vocabulary': len(findings.words),
            'classes': {split: dict(counts.most_common()) for split, counts in findings.classes.items()},
            'positions': dict(findings.positions.most_common())}


def inspect(args: Namespace) -> None:
    """Look, write and say what to mend first."""
    out = args.out or args.folder
    check_writable(out)
    findings = inspect_folder(args.folder, args.num_tokens, args.samples)
    write_json(numbers(findings), out / 'inspect.json')
    write_atomically(to_html(findings, args.folder.absolute()).encode('utf-8', 'replace'), out / 'inspect.html')
    print('\n'.join(['', *(text for text, _ in advice(findings)), f'{out / "inspect.html"} shows more']))


def main() -> None:
    """Inspect as the command line says."""
    command_line.run(make_parser(), inspect)


if __name__ == '__main__':
    main()
