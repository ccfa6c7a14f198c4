"""See what a trained model's routers do, by kind of expression, and what their decisions are worth."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from rich.progress import track
from torch import Tensor, nn

from mmrefseg.apis import command_line
from mmrefseg.apis.config_to_model import add_cfg_options
from mmrefseg.apis.config_to_runner import load_config, start_testing
from mmrefseg.datasets.expression_kind import EXPRESSION_KINDS, classify_expression
from mmrefseg.errors import InputError
from mmrefseg.evaluation.failures.router_choices import ALL
from mmrefseg.evaluation.functional import information, pixel_counts, preferences
from mmrefseg.models.layers import RoutingInfo, frozen_to, rerouted, without
from mmrefseg.models.layers.rerouting import RoutingChange
from mmrefseg.utils.files import check_writable, write_json
from mmrefseg.visualization import draw_routing, draw_routing_costs

EXPERT_FIGURES = ('weight', 'chosen', 'first')
FROZEN = 'frozen'
EVERY_ROUTER = 'every router'


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Run a split and write routing.json and routing.png: for each router and kind of expression, the '
                    'mean weight of each expert, and the shares of expressions that chose it and that weighted it '
                    'most; how undecided a router is about one expression (entropy, 1 where all experts weigh the '
                    'same); and what the kind of expression and the picture tell about the choice, beside what they '
                    'would by chance. Kinds are those that the data give (RefShapes do); where they give none, lists '
                    'of words tell (mmrefseg/datasets/expression_kind.py).')
    parser.add_argument('config', help='config file, such as configs/sera/sera_tiny_refshapes.py')
    parser.add_argument('checkpoint', help='trained weights')
    parser.add_argument('--split', help="split to run, such as testA (default: the config's)")
    parser.add_argument('--out', required=True, type=Path, metavar='DIR', help='folder for the files')
    parser.add_argument('--costs', action='store_true',
                        help='also measure what mIoU loses where routing is frozen to its mean, and without each '
                             'expert, by kind of expression, and draw costs.png: runs the split once per router, once '
                             'per expert, and twice more')
    add_cfg_options(parser, 'test_dataloader.batch_size=8')
    parser.set_defaults(work_dir=None, launcher='none', local_rank=0)
    return parser


class RoutingTable:
    """What routers decide about each expression."""

    def __init__(self) -> None:
        self.experts: dict[str, tuple[str, ...]] = {}
        self._kinds: list[str] = []
        self._pictures: list[str] = []
        self._weights: dict[str, list[Tensor]] = {}
        self._chosen: dict[str, list[Tensor]] = {}

    def add(self, routing: Iterable[RoutingInfo], kinds: list[str], pictures: list[str]) -> None:
        """Add a batch whose n-th expression is of the n-th kind, and about the n-th picture."""
        self._kinds += kinds
        self._pictures += pictures
        for info in routing:
            self.experts[info.name] = info.experts
            self._weights.setdefault(info.name, []).append(info.weights.double().cpu())
            self._chosen.setdefault(info.name, []).append(info.chosen.cpu())

    def kinds(self) -> dict[str, int]:
        """How many expressions each kind has; those of ``EXPRESSION_KINDS`` come first, after all together."""
        names = sorted(set(self._kinds), key=lambda kind: ([*EXPRESSION_KINDS, kind].index(kind), kind))
        return {ALL: len(self._kinds), **{kind: self._kinds.count(kind) for kind in names}}

    def weights(self, router: str) -> np.ndarray:
        """(N, E), of each expression."""
        return torch.cat(self._weights[router]).numpy()

    def summary(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """Router → kind → expert → figure → 0 to 1."""
        return {router: {kind: self._means(router, kind) for kind in self.kinds()} for router in self.experts}

    def _means(self, router: str, kind: str) -> dict[str, dict[str, float]]:
        rows = members(self._kinds, kind)
        weights, chosen = self.weights(router)[rows], torch.cat(self._chosen[router]).numpy()[rows]
        first = weights.argmax(1)[:, None] == np.arange(weights.shape[1])
        columns = zip(weights.mean(0).tolist(), chosen.mean(0).tolist(), first.mean(0).tolist(), strict=True)
        return {expert: dict(zip(EXPERT_FIGURES, figures, strict=True))
                for expert, figures in zip(self.experts[router], columns, strict=True)}

    def decisions(self) -> dict[str, dict[str, Any]]:
        """Router → how decided it is, and what its decisions go with.

        ``entropy`` is the mean of the entropies of each expression's weights, as a share of the greatest possible.
        ``kind`` and ``picture`` tell what these say about the first choice; kinds change places within a picture only.
        """
        return {router: self._decision(self.weights(router), experts) for router, experts in self.experts.items()
                if len(experts) > 1}

    def _decision(self, weights: np.ndarray, experts: tuple[str, ...]) -> dict[str, Any]:
        choices = weights.argmax(1)
        preferred = preferences(weights, self._kinds, within=self._pictures)
        return dict(
            entropy=mean_entropy(weights),
            kind=information(choices, self._kinds, within=self._pictures)._asdict(),
            picture=information(choices, self._pictures)._asdict(),
            preferences={kind: dict(zip(experts, (found._asdict() for found in preferred[kind]), strict=True))
                         for kind in self.kinds() if kind != ALL})


def mean_entropy(weights: np.ndarray) -> float:
    """Mean entropy of the rows of (N, E), as a share of that of equal weights."""
    logarithms = np.log(np.where(weights > 0, weights, 1))
    return float(-(weights * logarithms).sum(1).mean() / np.log(weights.shape[1]))


def members(kinds: list[str], kind: str) -> np.ndarray:
    """Boolean (N, ), the expressions of a kind."""
    return np.array([kind in (ALL, other) for other in kinds])


def kinds_of(data: dict) -> list[str]:
    """The kind of each of a batch's expressions."""
    return [sample.get('kind') or classify_expression(sample.text) for sample in data['data_samples']]


@torch.inference_mode()
def collect_routing(model: nn.Module, batches: Iterable[dict]) -> RoutingTable:
    """Run a ``ReferringSegmentor`` as far as its routers on all batches."""
    table = RoutingTable()
    model.eval()
    for batch in batches:
        data = model.data_preprocessor(batch)
        routing = model.extract_feat(
            data['inputs'], data['token_ids'], data['token_mask'], data.get('image_index'))[2]
        table.add(routing, kinds_of(data), [str(sample.get('img_path')) for sample in data['data_samples']])
    return table


@torch.inference_mode()
def mean_ious(model: nn.Module, batches: Iterable[dict]) -> dict[str, float]:
    """mIoU in percent by kind of expression, and of all."""
    model.eval()
    kinds, ious = [], []
    for batch in batches:
        data = model.data_preprocessor(batch)
        kinds += kinds_of(data)
        for sample in model(**data, mode='predict'):
            pred = sample.pred_sem_seg.data != 0
            both, predicted, target = pixel_counts(pred, sample.gt_sem_seg.data.to(pred.device) != 0).tolist()
            ious.append(both / max(predicted + target - both, 1))
    return {kind: 100 * float(np.mean(np.array(ious)[members(kinds, kind)])) for kind in (ALL, *sorted(set(kinds)))}


def routing_changes(table: RoutingTable) -> Iterator[tuple[str, str, RoutingChange]]:
    """What is to be changed of which router's decisions: frozen to its mean, or without one of the experts."""
    means = {router: torch.from_numpy(table.weights(router).mean(0)).float() for router in table.experts}
    yield EVERY_ROUTER, FROZEN, frozen_to(means)
    for router, experts in table.experts.items():
        if len(experts) > 1:
            yield router, FROZEN, frozen_to({router: means[router]})
            yield from ((router, expert, without(router, expert)) for expert in experts)


def measure_costs(model: nn.Module, loader: Iterable[dict], table: RoutingTable) -> dict[str, Any]:
    """mIoU by kind, and router → change → kind → by how many points the mIoU falls."""
    own = mean_ious(model, track(loader, 'mIoU'))
    costs: dict[str, dict[str, dict[str, float]]] = {}
    for router, what, change in routing_changes(table):
        with rerouted(model, change):
            found = mean_ious(model, track(loader, f'{router}: {what if what == FROZEN else f"without {what}"}'))
        costs.setdefault(router, {})[what] = {kind: own[kind] - found[kind] for kind in table.kinds()}
    return dict(mIoU={kind: own[kind] for kind in table.kinds()}, costs=costs)


def analyze_routing(cfg: Config, checkpoint: str, split: str | None, out: Path,
                    with_costs: bool = False) -> dict[str, Any]:
    """Write routing.json and routing.png, and costs.png; returns what routing.json holds.

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
    loader = Runner.build_dataloader(cfg.test_dataloader)
    table = collect_routing(model, track(loader, 'routing'))
    report = dict(config=cfg.filename, checkpoint=checkpoint, split=cfg.test_dataloader.dataset.get('split'),
                  expressions=table.kinds(), routers=table.summary(), decisions=table.decisions())
    draw_routing(report['routers'], report['expressions'], out / 'routing.png', report['decisions'])
    if with_costs:
        report |= measure_costs(model, loader, table)
        draw_routing_costs(report['costs'], report['expressions'], out / 'costs.png')
    write_json(report, out / 'routing.json')
    return report


def tell(args: Namespace) -> None:
    """Analyze, and print a line per router."""
    report = analyze_routing(load_config(args), args.checkpoint, args.split, args.out, args.costs)
    costs = report.get('costs', {})
    for router, kinds in report['routers'].items():
        shares = ', '.join(f'{expert} {figures["weight"]:.0%}' for expert, figures in kinds[ALL].items())
        print(f'{router}: mean weights {shares}{rest_of_line(report["decisions"].get(router), costs.get(router))}')
    if costs:
        frozen = -costs[EVERY_ROUTER][FROZEN][ALL]
        print(f'mIoU {report["mIoU"][ALL]:.1f}; {frozen:+.1f} with all routing frozen to its mean')
    print(f'By kind of expression ({len(report["expressions"]) - 1} kinds): routing.json and routing.png in {args.out}')


def rest_of_line(decision: dict | None, costs: dict | None) -> str:
    """The rest of a router's line; empty where it has one expert."""
    if decision is None:
        return ''
    found = [f'; entropy {decision["entropy"]:.2f}']
    for name in ('kind', 'picture'):
        found.append(f'{name} tells {decision[name]["bits"]:.3f} bits (by chance {decision[name]["chance"]:.3f}, '
                     f'p = {decision[name]["p"]:.3f})')
    if costs:
        found.append(f'mIoU {-costs[FROZEN][ALL]:+.1f} frozen')
    return ', '.join(found)


def main() -> None:
    """Analyze as the command line says."""
    command_line.run(make_parser(), tell)


if __name__ == '__main__':
    main()
