"""See what a trained model's routers do: mean weights and choices of their experts, by kind of expression."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from rich.progress import track
from torch import Tensor, nn

from mmrefseg.apis import command_line
from mmrefseg.apis.running import load_config, start_testing
from mmrefseg.datasets.expression_kind import EXPRESSION_KINDS, classify_expression
from mmrefseg.errors import InputError
from mmrefseg.models.layers import RoutingInfo
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.visualization import draw_routing

ALL = 'all'
FIGURES = ('weight', 'chosen', 'first')


def make_parser() -> ArgumentParser:
    """The command line."""
    parser = ArgumentParser(
        description='Run a split and write routing.json and routing.png: for each router and kind of expression, the '
                    'mean weight of each expert, and the shares of expressions that chose it and that weighted it '
                    'most. Kinds are those that the data give (RefShapes do); where they give none, lists of words '
                    'tell (mmrefseg/datasets/expression_kind.py).')
    parser.add_argument('config', help='config file, such as configs/sera/sera_tiny_refshapes.py')
    parser.add_argument('checkpoint', help='trained weights')
    parser.add_argument('--split', help="split to run, such as testA (default: the config's)")
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder for the two files')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override settings of the config, such as test_dataloader.batch_size=8')
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser


class RoutingTable:
    """Sums what routers decide, by router and kind of expression."""

    def __init__(self) -> None:
        self.experts: dict[str, tuple[str, ...]] = {}
        self.counts: dict[str, int] = {}
        self._sums: dict[tuple[str, str], Tensor] = {}

    def add(self, routing: Iterable[RoutingInfo], kinds: list[str]) -> None:
        """Add a batch whose n-th expression is of the n-th kind."""
        rows_by_kind = {kind: [i for i, other in enumerate(kinds) if other == kind] for kind in sorted(set(kinds))}
        for kind, rows in rows_by_kind.items():
            self.counts[kind] = self.counts.get(kind, 0) + len(rows)
        for info in routing:
            self.experts[info.name] = info.experts
            for kind, rows in rows_by_kind.items():
                part = info._replace(logits=info.logits[rows], weights=info.weights[rows], chosen=info.chosen[rows])
                total = len(rows) * part.statistics().double().cpu()
                self._sums[info.name, kind] = self._sums.get((info.name, kind), 0) + total

    def kinds(self) -> dict[str, int]:
        """How many expressions each kind has; those of ``EXPRESSION_KINDS`` come first, after all together."""
        names = sorted(self.counts, key=lambda kind: ([*EXPRESSION_KINDS, kind].index(kind), kind))
        return {ALL: sum(self.counts.values()), **{kind: self.counts[kind] for kind in names}}

    def summary(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """Router → kind → expert → figure → 0 to 1."""
        return {router: {kind: self._means(router, kind) for kind in self.kinds()} for router in self.experts}

    def _means(self, router: str, kind: str) -> dict[str, dict[str, float]]:
        kinds = self.counts if kind == ALL else [kind]
        means = sum(self._sums[router, name] for name in kinds) / self.kinds()[kind]
        columns = zip(self.experts[router], means.T.tolist(), strict=True)
        return {expert: dict(zip(FIGURES, figures, strict=True)) for expert, figures in columns}


@torch.inference_mode()
def collect(model: nn.Module, batches: Iterable[dict]) -> RoutingTable:
    """Run a ``ReferringSegmentor`` as far as its routers on all batches."""
    table = RoutingTable()
    model.eval()
    for batch in batches:
        data = model.data_preprocessor(batch)
        routing = model.extract_feat(
            data['inputs'], data['token_ids'], data['token_mask'], data.get('image_index'))[2]
        table.add(routing, [sample.get('kind') or classify_expression(sample.text) for sample in data['data_samples']])
    return table


def analyze(cfg: Config, checkpoint: str, split: str | None, out: Path) -> RoutingTable:
    """Write routing.json and routing.png.

    Raises:
        InputError: the model has no routers, or the split is unknown.
        FileError: a file is missing, or ``out`` cannot be written.
    """
    check_writable(out)
    cfg.log_level = 'WARNING'
    if split:
        cfg.test_dataloader.dataset.split = split
    model = start_testing(cfg, checkpoint).model
    if not getattr(model, 'experts', None):
        raise InputError(f'the model of {cfg.filename} has no routers: those are in a ReferringSegmentor '
                         'with SERA-Adapter, or with SERA-Fusion that has experts')
    table = collect(model, track(Runner.build_dataloader(cfg.test_dataloader), 'routing'))
    report = dict(config=cfg.filename, checkpoint=checkpoint, split=cfg.test_dataloader.dataset.get('split'),
                  expressions=table.kinds(), routers=table.summary())
    draw_routing(report['routers'], report['expressions'], out / 'routing.png')
    write_json(report, out / 'routing.json')
    return table


def tell(args: Namespace) -> None:
    """Analyze and print the mean weights."""
    table = analyze(load_config(args), args.checkpoint, args.split, args.out)
    for router, kinds in table.summary().items():
        shares = ', '.join(f'{expert} {figures["weight"]:.0%}' for expert, figures in kinds[ALL].items())
        print(f'{router}: mean weights {shares}')
    print(f'By kind of expression ({len(table.kinds()) - 1} kinds): routing.json and routing.png in {args.out}')


def main() -> None:
    """Analyze as the command line says."""
    command_line.run(make_parser(), tell)


if __name__ == '__main__':
    main()
