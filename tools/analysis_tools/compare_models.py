"""Compare variants of a model, each trained with several seeds, on the expressions that all of them answered."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mmrefseg.apis import command_line
from mmrefseg.errors import InputError
from mmrefseg.evaluation.functional import PairedDifference, Spread, paired_difference, spread_over_seeds, summarise_iou
from mmrefseg.evaluation.predictions import PROTOCOLS_KEY
from mmrefseg.utils.field_checks import is_int64
from mmrefseg.utils.files import check_writable, read_json_object, refuse_overwriting, write_atomically, write_json
from mmrefseg.utils.text_formatting import print_tables

COMPARED_FIGURES = ('mIoU', 'oIoU', 'Pr@50', 'Pr@90')
COMPARED_THRESHOLDS = (50, 90)
WRITER = 'tools/test.py --out'
FIELDS = ('ref_id', 'sent_id', 'image_id', 'text', 'intersection', 'union')
REPORT_WIDTH = 160  # characters; the rows of the tables must not be broken


class Answers(NamedTuple):
    """What one variant answered on one split.

    Args:
        expressions: N times (ref_id, sent_id, image_id, text), sorted.
        intersections: (S, N) pixels, for S seeds.
        unions: (S, N) pixels.
    """

    expressions: list[tuple]
    intersections: np.ndarray
    unions: np.ndarray

    def ious(self) -> np.ndarray:
        """(S, N), in percent; an empty union counts as 0."""
        return 100 * self.intersections / np.maximum(self.unions, 1)


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Print figures of variants of a model as mean ± standard deviation over seeds, in percent, and by '
                    'how much their mIoU differs from that of the first variant, with a 95 % confidence interval. '
                    'Differences are taken expression by expression; the interval holds for other images, not for '
                    'other seeds, of which the table shows each.')
    parser.add_argument('--variant', nargs='+', action='append', required=True, metavar=('NAME', 'FILE'),
                        dest='variants', help=f'name, and the file that {WRITER} wrote for each seed, in the same '
                                              'order of seeds for all variants; give it twice or more')
    parser.add_argument('--out', type=Path, metavar='FILE.md',
                        help='Markdown file for the tables; all numbers go to FILE.json beside it')
    return parser


def read_variants(variants: Sequence[Sequence[str]]) -> dict[str, dict[str, Answers]]:
    """Read variant → split → answers, from lists of a name and files.

    Raises:
        MissingInputError: a file is missing.
        InputError: a file is damaged, or cannot be compared with the first one.
    """
    names = [name for name, *_ in variants]
    if len(set(names)) < max(len(names), 2):
        raise InputError(f'the variants are named {", ".join(names)}; expected were two or more different names')
    files = {name: rest for name, *rest in variants}
    numbers = {name: len(rest) for name, rest in files.items()}
    if 0 in numbers.values() or len(set(numbers.values())) > 1:
        raise InputError(f'expected was a file for each seed, and as many for all variants, got {numbers}')
    read = {file: read_overlaps(file) for rest in files.values() for file in rest}
    first, *others = read
    for file in others:
        check_same_expressions(first, read[first], file, read[file])
    return {name: {split: _stack([read[file][split] for file in rest]) for split in read[first]}
            for name, rest in files.items()}


def read_overlaps(file: str) -> dict[str, dict[tuple, tuple[int, int]]]:
    """Read split → expression → intersection and union; the expressions are sorted.

    Raises:
        MissingInputError: the file is missing.
        InputError: it isn't a file of predictions, or holds an expression twice.
    """
    splits: dict[str, dict[tuple, tuple[int, int]]] = {}
    content = read_json_object(file, WRITER)
    content.pop(PROTOCOLS_KEY, None)  # beside the splits
    for split, answers in content.items():
        try:
            rows = sorted([answer[field] for field in FIELDS] for answer in answers)
        except (TypeError, KeyError) as error:
            raise InputError(f'{split} of {file} is not a list of predictions with {", ".join(FIELDS)}; {WRITER} '
                             'writes such a file') from error
        for _, _, image, text, inter, union in rows:
            if not isinstance(text, str) or not isinstance(image, int | str):
                raise InputError(f'{split} of {file}: an image_id must be a number or string, and a text a string')
            if not all(is_int64(count) and type(count) is int for count in (inter, union)) or not 0 <= inter <= union:
                raise InputError(f'{split} of {file}: intersection and union of {text[:80]!r} must be whole numbers of '
                                 'pixels from 0, and no intersection larger than its union')
        splits[split] = {tuple(expression): (inter, union) for *expression, inter, union in rows}
        if len(splits[split]) < len(rows):
            raise InputError(f'{split} of {file} holds {len(rows) - len(splits[split])} expressions twice')
    return splits


def check_same_expressions(first: str, expected: Mapping[str, Mapping], file: str,
                           found: Mapping[str, Mapping]) -> None:
    """Compare the expressions of two files.

    Raises:
        InputError: they differ; says in what.
    """
    advice = 'only models that were tested on the same data can be compared'
    if expected.keys() != found.keys():
        raise InputError(f'{first} holds the splits {", ".join(expected)}, and {file} {", ".join(found)}; {advice}')
    for split, answers in expected.items():
        missing, unknown = answers.keys() - found[split].keys(), found[split].keys() - answers.keys()
        if missing or unknown:
            ref, sent, image, text = min(missing or unknown)
            raise InputError(
                f'{split} of {first} holds {len(missing)} expressions that {file} lacks, and lacks {len(unknown)} of '
                f'its, such as {text!r} (ref_id {ref}, sent_id {sent}, image_id {image}); {advice}')


def _stack(seeds: Sequence[Mapping[tuple, tuple[int, int]]]) -> Answers:
    counts = np.array([list(answers.values()) for answers in seeds], dtype=np.int64)
    counts = counts.reshape(len(seeds), len(seeds[0]), 2)  # also where there are no expressions
    return Answers(list(seeds[0]), counts[..., 0], counts[..., 1])


def compare(variants: Mapping[str, Mapping[str, Answers]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Split → variant → ``figures``, ``seeds`` and, but for the first variant, ``difference``."""
    reference = next(iter(variants))
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for name, splits in variants.items():
        for split, answers in splits.items():
            seeds = [summarise_iou(inter, union, COMPARED_THRESHOLDS)
                     for inter, union in zip(answers.intersections, answers.unions, strict=True)]
            row: dict[str, Any] = {'figures': spread_over_seeds(seeds), 'seeds': seeds}
            if name != reference:
                images = [image for _, _, image, _ in answers.expressions]
                row['difference'] = paired_difference(answers.ious(), variants[reference][split].ious(), images)
            results.setdefault(split, {})[name] = row
    return results


def tables(results: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> tuple[Table, Table]:
    """The figures of all variants, and their differences to the first; both are Markdown when printed."""
    reference = next(iter(next(iter(results.values()))))
    figures = Table('split', 'variant', *COMPARED_FIGURES, box=box.MARKDOWN)
    differences = Table('split', 'variant', f'mIoU less that of {reference}', '95 % interval', 'each seed',
                        box=box.MARKDOWN)
    for split, rows in results.items():
        for name, row in rows.items():
            figures.add_row(split, name, *(_spread(row['figures'][figure]) for figure in COMPARED_FIGURES))
            if name != reference:
                differences.add_row(split, name, *_difference(row['difference']))
    return figures, differences


def _spread(spread: Spread) -> str:
    return f'{spread.mean:.2f}' if spread.std is None else f'{spread.mean:.2f} ± {spread.std:.2f}'


def _difference(difference: PairedDifference) -> tuple[str, str, str]:
    return (f'{difference.mean:+.2f}', f'{difference.low:+.2f} to {difference.high:+.2f}',
            ', '.join(f'{value:+.2f}' for value in difference.by_seed))


def write_comparison(results: Mapping[str, Mapping[str, Mapping[str, Any]]], variants: Sequence[Sequence[str]],
                     out: Path) -> None:
    """Write the tables to ``out`` and all numbers to the JSON file beside it."""
    console = Console(width=REPORT_WIDTH, color_system=None, markup=False, emoji=False)
    figures, differences = tables(results)
    with console.capture() as text:
        console.print(figures)
        console.print(differences)
    splits = {split: {name: {key: _plain(value) for key, value in row.items()} for name, row in rows.items()}
              for split, rows in results.items()}
    report = {'files': {name: files for name, *files in variants}, 'splits': splits}
    write_json(report, out.with_suffix('.json'))
    lines = [line.rstrip() for line in text.get().splitlines()]
    write_atomically(('\n'.join(lines).strip() + '\n').encode(), out)


def _plain(value: Any) -> Any:
    """Named tuples with their names, as JSON doesn't write them."""
    if hasattr(value, '_asdict'):
        return value._asdict()
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, Mapping) else value


def print_comparison(args: Namespace) -> None:
    """Compare the variants, print the tables and write them."""
    if args.out:
        check_writable(args.out.parent)
        if args.out.suffix != '.md' or args.out.is_dir():
            raise InputError(f'--out is {args.out}; expected was a file whose name ends in .md')
        refuse_overwriting(args.out.with_suffix('.json'), [file for _, *files in args.variants for file in files])
    results = compare(read_variants(args.variants))
    if args.out:
        write_comparison(results, args.variants, args.out)
    print_tables(*tables(results), width=REPORT_WIDTH)
    if args.out:
        print(f'The tables are in {args.out}, all numbers in {args.out.with_suffix(".json")}')


def main() -> None:
    """Compare as the command line says."""
    command_line.run(make_parser(), print_comparison)


if __name__ == '__main__':
    main()
