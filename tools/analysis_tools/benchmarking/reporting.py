"""What the benchmarks share of their command lines and reports."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmrefseg.errors import InputError
from mmrefseg.utils.files import check_writable, write_json


def add_out_argument(parser: ArgumentParser) -> None:
    """Add the option that names a file for the figures."""
    parser.add_argument('--out', type=Path, metavar='FILE', help='JSON file for the figures')


def check_least(args: Namespace, **least: int) -> None:
    """Refuse numbers that nothing can be measured with; what is None was not given.

    Raises:
        InputError: names the number, and the least that it may be.
    """
    for name, smallest in least.items():
        value = getattr(args, name)
        if value is not None and value < smallest:
            raise InputError(f'--{name} is {value}; it must be at least {smallest}')


def measure_and_show(measure: Callable[[], dict[str, Any]], show: Callable[[dict[str, Any]], None],
                     out: Path | None) -> None:
    """Measure, show the figures, and write them where that is asked for.

    Raises:
        FileError: the file cannot be written, which is found out before the work.
    """
    if out:
        check_writable(out.parent)
    figures = measure()
    show(figures)
    if out:
        write_json(figures, out)


def circumstances(figures: dict[str, Any], where: str | None = None) -> list[str]:
    """Lines that say on what machine and with which libraries the figures were measured."""
    hardware = figures['machine']
    return [f'machine    {where or hardware["cpu"] + ", " + str(hardware["cores"]) + " cores"}',
            'versions   ' + ', '.join(f'{library} {number}' for library, number in figures['versions'].items())]
