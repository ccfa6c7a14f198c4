"""Look at one's own data before training: tools/analysis_tools/inspect_dataset.py DIR --out DIR"""
from __future__ import annotations

import base64
import json
from argparse import ArgumentParser, Namespace
from collections import Counter, defaultdict
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.utils import track_iter_progress
from open_clip import SimpleTokenizer

from mmrefseg.apis import command_line
from mmrefseg.datasets.json_lines import OwnLines
from mmrefseg.datasets.preparation import validate
from mmrefseg.datasets.referent_lines import iterate_lines
from mmrefseg.datasets.transforms.loading import decode_image
from mmrefseg.errors import MissingInputError, UserError
from mmrefseg.structures.masks import draw_mask
from mmrefseg.utils.files import MAX_IMAGE_BYTES, check_writable, read_regular, sha256_of, write_atomically

TINY = 0.001
"""Masks of less than this share of their image are called tiny."""

_NEAR = 4  # bits in which the fingerprints of two copies of a picture may differ
_SIDE = 360
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


def fingerprint(image: np.ndarray) -> int:
    """64 bits that copies of a picture share, whatever their size and quality: where brightness falls along rows.

    Args:
        image: RGB (H, W, 3).
    """
    small = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(int)
    return int(''.join('01'[bit] for bit in (small[:, 1:] < small[:, :-1]).ravel().astype(int)), 2)


def look_at(folder: Path, num_tokens: int, num_samples: int) -> tuple[dict[str, Any], list[tuple[str, bytes]]]:
    """Count what a folder holds.

    Returns:
        The numbers, and samples: what is said, and a JPEG.

    Raises:
        MissingInputError: there are no annotations.
    """
    files = sorted(folder.glob('annotations/*.jsonl'))
    if not files:
        raise MissingInputError(f'{folder} holds no annotations/*.jsonl. Make them with mmrefseg import.')
    report: dict[str, Any] = {'splits': {}, 'broken': [], 'empty': [], 'tiny': [], 'ambiguous': [], 'too_long': []}
    tokenizer, words, lengths, places = SimpleTokenizer(), Counter(), Counter(), Counter()
    pictures: dict[tuple[str, int, str], set[str]] = defaultdict(set)
    samples: list[tuple[str, bytes]] = []
    for file in files:
        split, broken = file.stem, validate(file)[1]
        report['broken'] += broken
        by_image: dict[str, list[tuple[int, dict]]] = defaultdict(list)
        reader, number = OwnLines(file, str(folder / 'images'), str(folder)), 0
        for number, line in iterate_lines(file):
            try:
                referent = reader.parse(number, line)
            except UserError:
                continue  # told by the validation
            by_image[referent['img_path']].append((number, referent))
        expressions = 0
        for path, referents in track_iter_progress(list(by_image.items())):
            said: dict[str, list[int]] = defaultdict(list)
            try:
                content = read_regular(path, MAX_IMAGE_BYTES)
                image = decode_image(content, path)
            except UserError:
                continue
            pictures[sha256_of(path), fingerprint(image), path].add(split)
            for number, referent in referents:
                where = f'{split}.jsonl, line {number}'
                texts = [sentence['text'] for sentence in referent['sentences']]
                expressions += len(texts)
                for text in texts:
                    said[' '.join(text.lower().split())].append(number)
                    words.update(text.lower().split())
                    tokens = len(tokenizer.encode(text)) + 2
                    lengths[tokens] += 1
                    if tokens > num_tokens:
                        report['too_long'].append(f'{where}: {tokens} tokens: {text}')
                try:
                    mask = draw_mask(referent['segmentation'], referent['height'], referent['width'])
                except UserError:
                    continue
                share = float(mask.mean())
                if not share:
                    report['empty'].append(f'{where}: {texts[0]}')
                elif share < TINY:
                    report['tiny'].append(f'{where}: {100 * share:.3f} % of the image: {texts[0]}')
                if share:
                    rows, columns = np.nonzero(mask)
                    places[f'{_third(rows.mean() / len(mask), "top middle bottom")} '
                           f'{_third(columns.mean() / mask.shape[1], "left centre right")}'] += 1
                if len(samples) < num_samples:
                    shown = decode_image(content, path, True) if referent['ignore_orientation'] else image
                    if shown.shape[:2] == mask.shape:
                        samples.append((f'{split}: {"; ".join(texts)}', _picture(shown, mask)))
            report['ambiguous'] += [f'{split}.jsonl, lines {", ".join(map(str, lines))}: {text}'
                                    for text, lines in said.items() if len(lines) > 1]
        report['splits'][split] = {'images': len(by_image), 'lines': sum(map(len, by_image.values())),
                                   'expressions': expressions, 'broken': len(broken)}
    report['duplicates'] = _duplicates(pictures)
    report['tokens'] = dict(sorted(lengths.items()))
    report['words'] = dict(words.most_common(_LISTED))
    report['vocabulary'] = len(words)
    report['positions'] = dict(places.most_common())
    return report, samples


def _third(share: float, names: str) -> str:
    return names.split()[min(int(3 * share), 2)]


def _picture(image: np.ndarray, mask: np.ndarray) -> bytes:
    shown = image.copy()
    shown[mask > 0] = (0.5 * shown[mask > 0] + 0.5 * np.array([255, 90, 40])).astype(np.uint8)
    scale = _SIDE / max(mask.shape)
    if scale < 1:
        shown = cv2.resize(shown, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.imencode('.jpg', cv2.cvtColor(shown, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes()


def _duplicates(pictures: dict[tuple[str, int, str], set[str]]) -> list[str]:
    """Pictures that are in several splits, as the same file or as near copies."""
    entries = [(*key, split) for key, splits in pictures.items() for split in splits]
    by_split: dict[str, list[tuple]] = defaultdict(list)
    for entry in entries:
        by_split[entry[3]].append(entry)
    found, splits = [], sorted(by_split)
    for index, first in enumerate(splits):
        for second in splits[index + 1:]:
            others = np.array([entry[1] for entry in by_split[second]], np.uint64)
            for sha256, code, path, _ in by_split[first]:
                bits = np.unpackbits((others ^ np.uint64(code)).view(np.uint8).reshape(-1, 8), axis=1).sum(axis=1)
                for other in np.flatnonzero(bits <= _NEAR):
                    entry = by_split[second][other]
                    kind = 'the same file' if entry[0] == sha256 else 'nearly the same'
                    found.append(f'{first}: {Path(path).name}, {second}: {Path(entry[2]).name} ({kind})')
    return found


def advice(report: dict[str, Any], num_tokens: int) -> list[tuple[str, str]]:
    """What to mend first: sentence and key of the list that it is about."""
    told = (('broken', 'of the lines are broken or their masks do not fit: mend them, training stops there'),
            ('duplicates', 'pairs of pictures are in two splits: figures on them would be too good; keep them in one'),
            ('ambiguous', 'expressions are said in several lines of one image: say more, or unite the masks'),
            ('too_long', f'expressions have more than {num_tokens} tokens and would be cut: shorten them, or raise '
                         'num_tokens of the text encoder'),
            ('tiny', f'masks take up less than {100 * TINY:g} % of their image: are they meant?'),
            ('empty', 'lines refer to nothing: are they meant?'))
    return [(f'{len(report[key])} {what}', key) for key, what in told if report[key]]


def page(report: dict[str, Any], samples: list[tuple[str, bytes]], folder: Path, num_tokens: int) -> str:
    """The page, which needs no other file."""
    found = advice(report, num_tokens)
    parts = [f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
             f'<title>{escape(folder.name)}</title><style>{_STYLE}</style><h1>{escape(folder.name)}</h1>',
             '<h2>What to mend first</h2>',
             '<ol>' + ''.join(f'<li><a href="#{key}">{escape(text)}</a></li>' for text, key in found) + '</ol>'
             if found else '<p>Nothing was found.</p>',
             '<h2>Splits</h2><div class="tables"><table><tr><th>split<th>images<th>lines<th>expressions<th>broken</tr>',
             *(f'<tr><td>{escape(split)}' + ''.join(f'<td>{number}' for number in numbers.values()) + '</tr>'
               for split, numbers in report['splits'].items()), '</table></div>',
             '<h2>Samples</h2><div class="grid">',
             *(f'<figure><img alt="" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
               f'<figcaption>{escape(text)}</figcaption></figure>' for text, picture in samples), '</div>']
    for text, key in found:
        more = len(report[key]) - _LISTED
        parts += [f'<h2 id="{key}">{escape(text)}</h2><ul>',
                  *(f'<li>{escape(entry)}</li>' for entry in report[key][:_LISTED]),
                  f'<li>and {more} more, in inspect.json</li>' if more > 0 else '', '</ul>']
    for title, key in (('Tokens per expression', 'tokens'), ('Where referents lie', 'positions'),
                       (f'Most frequent of {report["vocabulary"]} words', 'words')):
        parts += [f'<h2>{title}</h2><table>', *(f'<tr><td>{escape(str(name))}<td>{number}</tr>'
                                                for name, number in report[key].items()), '</table>']
    return '\n'.join(parts) + '</html>\n'


def inspect(args: Namespace) -> None:
    """Look, write and say what to mend first."""
    out = args.out or args.folder
    report, samples = look_at(args.folder, args.num_tokens, args.samples)
    check_writable(out)
    write_atomically(json.dumps(report, indent=2, ensure_ascii=False).encode(), out / 'inspect.json')
    write_atomically(page(report, samples, args.folder.absolute(), args.num_tokens).encode(), out / 'inspect.html')
    print('\n'.join(['', *(text for text, _ in advice(report, args.num_tokens)), f'{out / "inspect.html"} shows more']))


def main() -> None:
    """Inspect as the command line says."""
    command_line.run(make_parser(), inspect)


if __name__ == '__main__':
    main()
