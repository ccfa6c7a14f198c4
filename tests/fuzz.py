"""Try everything that reads files of others with damaged ones: ``python tests/fuzz.py --inputs 10000``."""
from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from helpers.fuzzed_surfaces import SURFACES
from helpers.fuzzing import endings


def main() -> None:
    """Print a table of how the tries ended; leave with status 1 if any did otherwise than well or in a clear error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--inputs', type=int, default=10000, help='tries of all kinds together. Default 10000')
    parser.add_argument('--kind', action='append', choices=SURFACES, help='this kind alone; repeatable. Default all')
    parser.add_argument('--first-seed', type=int, default=0, help='seeds count from here in each kind. Default 0')
    args = parser.parse_args()
    kinds = args.kind or list(SURFACES)
    warnings.simplefilter('ignore')
    logging.disable()
    print(f'{"kind":<40}{"fine":>8}{"refused":>9}{"unclear":>9}')
    failed = False
    for index, kind in enumerate(kinds):
        number = args.inputs // len(kinds) + (index < args.inputs % len(kinds))
        with tempfile.TemporaryDirectory() as folder:
            attempt = SURFACES[kind](Path(folder))
            attempt(None)
            found = endings(attempt, range(args.first_seed, args.first_seed + number))
        print(f'{kind:<40}{found.fine:>8}{found.refused:>9}{len(found.unclear):>9}', flush=True)
        for seed, error in found.unclear.items():
            print(f'    seed {seed}: {error[:300]}', flush=True)
        failed |= bool(found.unclear)
    sys.exit(failed)


if __name__ == '__main__':
    main()
