"""Look at one's own data before training: tools/analysis_tools/inspect_dataset.py DIR --out DIR"""
from __future__ import annotations

import base64
import json
from argparse import ArgumentParser, Namespace
from html import escape
from pathlib import Path

import cv2
import numpy as np

from mmrefseg.apis import command_line
from mmrefseg.datasets.inspection import TINY, Findings, inspect_folder
from mmrefseg.utils.files import check_writable, write_atomically

_LISTED = 50
_STYLE = '''body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:auto;padding:1rem;color:#1c1c1c}
table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;text-align:left}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(15rem,100%),1fr));gap:1rem}
figure{margin:0}img{width:100%;height:auto}li,figcaption{overflow-wrap:anywhere}.tables{overflow-x:auto}'''


def make_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(description='Write inspect.html, one page about a folder of JSON Lines, with what to mend '
                                        'first on top, and inspect.json with all its numbers.')
    parser.add_argument('folder', type=Path, metavar='DIR', help='folder with annotations/ and images/')
    parser.add_argument('--out', type=Path, metavar='DIR', help='folder for the two files (default: DIR)')
    parser.add_argument('--num-tokens', type=int, default=17,
                        help='tokens that the text encoder reads, start and end included (default: 17)')
    parser.add_argument('--samples', type=int, default=24, help='pictures on the page (default: 24)')
    return parser


def _picture(image: np.ndarray, mask: np.ndarray) -> str:
    """A small JPEG in base64."""
    shown = image.copy()
    shown[mask > 0] = (0.5 * shown[mask > 0] + 0.5 * np.array([255, 90, 40])).astype(np.uint8)
    content = cv2.imencode('.jpg', cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1]
    return base64.b64encode(content.tobytes()).decode()


def advice(findings: Findings) -> list[tuple[str, str]]:
    """What to mend first: sentence and key of the list that it is about."""
    told = (('broken', 'broken lines, or masks that do not fit: {}. Mend them, training stops there'),
            ('duplicates', 'pictures in two splits: {}. Figures on them would be too good; keep each in one'),
            ('repeated', 'expressions of several lines of one image: {}. Say more, or unite the masks'),
            ('ambiguous', 'expressions that may also mean another object of their image, of which all their words are '
                          'said, too: {}. Say more'),
            ('untrained', 'things that other splits ask for, and train never does: {}. Split anew, or add such'),
            ('too_long', f'expressions of more than {findings.num_tokens} tokens, which would be cut: {{}}. Shorten '
                         'them, or raise num_tokens of the text encoder'),
            ('tiny', f'masks that take up less than {100 * TINY:g} % of their image: {{}}. Are they meant?'),
            ('empty', 'lines that refer to nothing: {}. Are they meant?'))
    return [(what.format(len(entries)), key) for key, what in told if (entries := getattr(findings, key))]


def page(findings: Findings, folder: Path) -> str:
    """The page, which needs no other file."""
    found = advice(findings)
    parts = [f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
             f'<title>{escape(folder.name)}</title><style>{_STYLE}</style><h1>{escape(folder.name)}</h1>',
             '<h2>What to mend first</h2>',
             '<ol>' + ''.join(f'<li><a href="#{key}">{escape(text)}</a></li>' for text, key in found) + '</ol>'
             if found else '<p>Nothing was found.</p>',
             '<h2>Splits</h2><div class="tables"><table><tr><th>split<th>images<th>lines<th>expressions<th>broken</tr>',
             *(f'<tr><td>{escape(split)}' + ''.join(f'<td>{number}' for number in numbers.values()) + '</tr>'
               for split, numbers in findings.splits.items()), '</table></div>',
             '<h2>Samples</h2><div class="grid">',
             *(f'<figure><img alt="" src="data:image/jpeg;base64,{_picture(shown.image, shown.mask)}">'
               f'<figcaption>{escape(shown.caption)}</figcaption></figure>' for shown in findings.samples), '</div>']
    for text, key in found:
        entries = getattr(findings, key)
        more = len(entries) - _LISTED
        parts += [f'<h2 id="{key}">{escape(text)}</h2><ul>',
                  *(f'<li>{escape(entry)}</li>' for entry in entries[:_LISTED]),
                  f'<li>and {more} more, in inspect.json</li>' if more > 0 else '', '</ul>']
    for split, counts in findings.classes.items():
        parts += [f'<h2>What {escape(split)} asks for, by the first noun ({len(counts)})</h2><table>',
                  *(f'<tr><td>{escape(name)}<td>{number}<td>{number / counts.total():.0%}</tr>'
                    for name, number in counts.most_common(_LISTED)), '</table>']
    for title, counts in (('Tokens per expression', sorted(findings.tokens.items())),
                          ('Where referents lie', findings.positions.most_common()),
                          (f'Most frequent of {len(findings.words)} words', findings.words.most_common(_LISTED))):
        parts += [f'<h2>{title}</h2><table>', *(f'<tr><td>{escape(str(name))}<td>{number}</tr>'
                                                for name, number in counts), '</table>']
    return '\n'.join(parts) + '</html>\n'


def numbers(findings: Findings) -> dict[str, object]:
    """All that the page says, without pictures."""
    lists = ('splits', 'broken', 'duplicates', 'repeated', 'ambiguous', 'untrained', 'too_long', 'tiny', 'empty')
    return {**{key: getattr(findings, key) for key in lists}, 'tokens': dict(sorted(findings.tokens.items())),
            'words': dict(findings.words.most_common(_LISTED)), 'vocabulary': len(findings.words),
            'classes': {split: dict(counts.most_common()) for split, counts in findings.classes.items()},
            'positions': dict(findings.positions.most_common())}


def inspect(args: Namespace) -> None:
    """Look, write and say what to mend first."""
    out = args.out or args.folder
    check_writable(out)
    findings = inspect_folder(args.folder, args.num_tokens, args.samples)
    content = json.dumps(numbers(findings), indent=2, ensure_ascii=False)
    write_atomically(content.encode('utf-8', 'replace'), out / 'inspect.json')
    write_atomically(page(findings, args.folder.absolute()).encode('utf-8', 'replace'), out / 'inspect.html')
    print('\n'.join(['', *(text for text, _ in advice(findings)), f'{out / "inspect.html"} shows more']))


def main() -> None:
    """Inspect as the command line says."""
    command_line.run(make_parser(), inspect)


if __name__ == '__main__':
    main()
