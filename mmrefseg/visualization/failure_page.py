"""The page about where a model fails; all its numbers are those of the report."""
from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from .html_page import Cell, Markup, html_table, page, text, thumbnail
from .mask_overlays import MASK_COLOUR, TRUTH_COLOUR, overlay_mask, shrink

PICTURE_SIDE = 240  # pixels of a picture's longer side

_STYLE = f'''
.columns{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr));gap:0 2rem}}
section{{min-width:0}}h2,h3{{margin:1.4rem 0 .4rem}}
.bar{{display:block;height:.5rem;border-radius:.2rem;background:#3b82c4;margin-top:.2rem}}
.failed .bar{{background:{MASK_COLOUR}}}td:nth-child(n+2){{min-width:5rem}}
small{{color:#5b6470}}td small{{white-space:nowrap}}td small.rule{{display:block;white-space:normal;max-width:34rem}}
figure{{border:1px solid #dfe3e8;border-radius:.4rem;overflow:hidden}}figure img{{display:block}}
figcaption{{padding:.4rem .6rem}}figcaption small{{display:block}}
.note{{background:#fff3cd;padding:.4rem .8rem;border-radius:.4rem}}[hidden]{{display:none!important}}
.controls{{display:flex;flex-wrap:wrap;gap:.6rem 1rem;margin:.6rem 0}}select,button{{font:inherit;max-width:100%}}
button.link{{border:0;padding:0;background:none;color:#0b5cad;text-decoration:underline;cursor:pointer;text-align:left}}
.truth{{color:#00814d}}.answer{{color:#c2005a}}
@media(max-width:32rem){{table{{font-size:14px}}td,th{{padding-right:.5rem}}td:nth-child(n+2){{min-width:0}}}}'''

# Without it all examples are shown, worst first.
_SCRIPT = '''
const grid = document.getElementById('grid'), cards = [...grid.children];
const controls = Object.fromEntries(['choice', 'failure', 'kind', 'sort'].map(id => [id, document.getElementById(id)]));
function show() {
  for (const card of cards)
    card.hidden = !['choice', 'failure', 'kind'].every(key =>
      !controls[key].value || JSON.parse(card.dataset[key]).includes(controls[key].value));
  const [key, sign] = controls.sort.value.split(' ');
  grid.append(...[...cards].sort((a, b) => sign * (a.dataset[key] - b.dataset[key])));
}
document.querySelector('.controls').hidden = false;
for (const control of Object.values(controls)) control.addEventListener('change', show);
for (const link of document.querySelectorAll('button.link')) link.addEventListener('click', () => {
  controls.choice.value = ''; controls.kind.value = ''; controls.failure.value = link.textContent;
  show(); grid.scrollIntoView();
});
show();'''

_TITLES = {'kind': 'kind of expression', 'length': 'number of words', 'size': 'size of the referent',
           'others of its category': "other objects of the referent's category on the image",
           'position': 'position of the referent'}
_SORTS = {'IoU, low first': 'iou 1', 'IoU, high first': 'iou -1', 'long expressions first': 'words -1',
          'short expressions first': 'words 1', 'small referents first': 'area 1', 'large referents first': 'area -1'}


def failure_page(report: Mapping[str, Any], pictures: Sequence[np.ndarray]) -> str:
    """The whole page in HTML, about where a model fails.

    Args:
        report: what ``tools/analysis_tools/analyze_errors.py`` writes.
        pictures: of the report's ``examples``, RGB uint8 (H, W, 3) each; see :func:`draw_example`.
    """
    sections = (_head(report), _outstanding(report), _failures(report), _groups(report), _examples(report, pictures),
                _histogram(report), _sweep(report), _routing(report))
    parts = [part for section in sections for part in section]
    return page(f'Where it fails: {report["split"]}', parts, _STYLE, _SCRIPT if pictures else '')


def draw_example(image: np.ndarray, truth: np.ndarray, answer: np.ndarray) -> np.ndarray:
    """A small picture of the truth's outline over the answer.

    Args:
        image: RGB uint8 (H, W, 3).
        truth: (H, W).
        answer: (H, W).

    Returns:
        RGB uint8, 240 pixels high or wide.
    """
    scale = PICTURE_SIDE / max(image.shape[:2])
    (small, small_answer), (_, small_truth) = (shrink(image, mask, scale) for mask in (answer, truth))
    return overlay_mask(overlay_mask(small, small_answer, MASK_COLOUR, 0.4), small_truth, TRUTH_COLOUR, 0)


def _percent(value: float) -> str:
    return f'{value:.1f}'


def _estimate(figure: Mapping[str, float | None] | None, has_bar: bool = True) -> Cell:
    if figure is None:
        return '-'
    interval = '' if figure['low'] is None else (
        f' <small>{_percent(figure["low"])} to {_percent(figure["high"])}</small>')
    return Markup(_percent(figure['mean']) + interval + (_bar(figure['mean']) if has_bar else ''))


def _bar(percent: float) -> str:
    return f'<span class="bar" style="width:{min(max(percent, 0), 100):.1f}%"></span>'


def _failed(cell: Cell) -> Markup:
    return Markup(f'<div class="failed">{text(cell)}</div>')


def _head(report: Mapping[str, Any]) -> Iterator[str]:
    yield (f'<p>{text(report["predictions"])} on {text(report["on"])}: {report["expressions"]} expressions on '
           f'{report["images"]} images, {report["without_target"]} of them without a target; '
           f'{report["missing"]} have no prediction and count 0.</p>')
    yield f'<p><small>Protocol {text(report["protocol_text"])}</small></p><h2>Figures</h2>'
    yield html_table(('figure', 'percent, 95 % interval'), (
        (name, _estimate(figure)) for name, figure in report['figures'].items()))
    yield ('<p><small>Intervals by bootstrap over images: what other images of the same kind might give.</small></p>')


def _outstanding(report: Mapping[str, Any]) -> Iterator[str]:
    share = _percent(report['failures']['share'])
    yield (f'<h2>What stands out</h2><p>{share} % of all answers fail (IoU of at most {report["good"]} %). These '
           'groups fail more often, beyond chance; first those with the most failures beyond that share.</p>')
    if not report['stands_out']:
        yield '<p>None does.</p>'
        return
    yield html_table(('group', 'expressions', 'failed, percent', 'failures beyond'), (
        (f'{_TITLES[entry["grouping"]]}: {entry["name"]}', entry['expressions'], _failed(_estimate(entry['failed'])),
         f'{entry["beyond"]:.0f}') for entry in report['stands_out']))


def _failures(report: Mapping[str, Any]) -> Iterator[str]:
    failures = report['failures']
    yield f'<h2>How it fails</h2><p>{failures["number"]} failures, by the first class that fits.</p>'
    yield html_table(('class', 'failures', 'percent of them'), (
        (Markup(f'{_link(entry["name"], report)}<small class="rule">{escape(entry["rule"])}</small>'), entry['number'],
         _failed(Markup(_percent(entry['share']) + _bar(entry['share'])))) for entry in failures['classes']))
    if len(failures['by_kind']) > 1 and failures['classes']:
        names = [entry['name'] for entry in failures['classes']]
        yield '<h3>By kind of expression, in percent of its expressions</h3>'
        yield html_table(('kind', *names), ((kind, *(_percent(shares[name]) for name in names))
                                       for kind, shares in failures['by_kind'].items()))


def _link(name: str, report: Mapping[str, Any]) -> str:
    """Shows the examples of a class."""
    is_shown = any(example['failure'] == name for example in report['examples'])
    return f'<button class="link">{escape(name)}</button>' if is_shown else escape(name)


def _groups(report: Mapping[str, Any]) -> Iterator[str]:
    mean = next(iter(report['figures']), 'IoU')
    yield '<div class="columns">'
    for grouping, entries in report['groups'].items():
        yield f'<section><h2>By {escape(_TITLES[grouping])}</h2>'
        if grouping == 'kind' and not report['kinds_are_given']:
            yield '<p><small>The data name no kinds: lists of words tell them.</small></p>'
        yield html_table(('', 'expressions', f'{mean}, percent', 'failed, percent'), (
            (entry['name'], entry['expressions'], _estimate(entry['iou']), _failed(_estimate(entry['failed'])))
            for entry in entries)) + '</section>'
    yield '</div>'


def _histogram(report: Mapping[str, Any]) -> Iterator[str]:
    most = max(entry['expressions'] for entry in report['histogram'])
    yield '<h2>Expressions by IoU</h2>'
    yield html_table(('IoU, percent', 'expressions'), (
        (f'{entry["from"]} to {entry["to"]}',
         Markup(f'{entry["expressions"]}{_bar(100 * entry["expressions"] / max(most, 1))}'))
        for entry in report['histogram']))


def _sweep(report: Mapping[str, Any]) -> Iterator[str]:
    if not report['sweep']:
        return
    yield ('<h2>Other thresholds: not for reporting</h2><p class="note"><b>Not for reporting.</b> The best threshold '
           'on the data that are evaluated is too good a figure. These are of the small 8-bit pictures of '
           f'{report["sweep_expressions"]} probabilities, on the original images, and differ a little from those '
           'above.</p>')
    yield html_table(('threshold, percent', 'mIoU, percent', 'oIoU, percent'), (
        (row['threshold'], *(Markup(_percent(row[name]) + _bar(row[name])) if name in row else '-'
                             for name in ('mIoU', 'oIoU'))) for row in report['sweep']))


def _routing(report: Mapping[str, Any]) -> Iterator[str]:
    if not report['routing']:
        return
    yield ('<h2>Routing by kind</h2><p><small>Mean weight of each expert in percent; below, of how many expressions in '
           'percent it was chosen, and weighted most.</small></p>')
    yield '<div class="columns">'
    for router, kinds in report['routing'].items():
        experts = list(next(iter(kinds.values())))
        yield f'<section><h3>{text(router)}</h3>'
        yield html_table(('kind', *experts), ((kind, *(_expert(shares[expert]) for expert in experts))
                                         for kind, shares in kinds.items())) + '</section>'
    yield '</div>'


def _expert(shares: Mapping[str, float]) -> Markup:
    weight, chosen, first = (100 * shares[name] for name in ('weight', 'chosen', 'first'))
    return Markup(f'{_percent(weight)}{_bar(weight)}<small>{_percent(chosen)}, {_percent(first)}</small>')


def _examples(report: Mapping[str, Any], pictures: Sequence[np.ndarray]) -> Iterator[str]:
    if not pictures:
        return
    examples = report['examples']
    yield ('<h2>Examples</h2><p>The <b class="truth">green line</b> is the truth, the <b class="answer">pink area</b> '
           'the answer. Shown are the worst, those around the median and the best, and some of each class; among '
           'equals the choice is random.</p><div class="controls" hidden>')
    for key, label, values in (
            ('choice', 'show', [choice for example in examples for choice in example['choice']]),
            ('failure', 'class', [example['failure'] for example in examples if example['failure']]),
            ('kind', 'kind', [example['kind'] for example in examples if example['kind']])):
        options = ''.join(f'<option value="{escape(value)}">{escape(value)}' for value in dict.fromkeys(values))
        yield f'<label>{label} <select id="{key}"><option value="">all</option>{options}</select></label>'
    sorts = ''.join(f'<option value="{value}">{label}' for label, value in _SORTS.items())
    yield f'<label>sort <select id="sort">{sorts}</select></label></div><div class="grid" id="grid">'
    yield from (_card(example, picture) for example, picture in zip(examples, pictures, strict=True))
    yield '</div>'


def _card(example: Mapping[str, Any], picture: np.ndarray) -> str:
    data = {**{key: json.dumps(values) for key, values in (
        ('choice', example['choice']), ('failure', [example['failure']]), ('kind', [example['kind']]))},
            **{key: example[key] for key in ('iou', 'words', 'area')}}
    attributes = ' '.join(f'data-{key}="{escape(str(value))}"' for key, value in data.items())
    told = [f'IoU {_percent(example["iou"])} %', example['failure'], example['kind'], example['position'],
            f'sent_id {example["sent_id"]}', example['file_name']]
    return (f'<figure {attributes}>{thumbnail(picture)}<figcaption>{text(example["text"])}'
            f'<small>{" · ".join(text(part) for part in told if part)}</small></figcaption></figure>')
