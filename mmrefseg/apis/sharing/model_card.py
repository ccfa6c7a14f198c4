"""The card of a shared model, of what the metafiles and a test say."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from sys import float_info
from typing import Any

import yaml
from mmengine.config import Config

from mmrefseg.errors import InputError
from mmrefseg.utils.files import read_json
from mmrefseg.utils.shipped_files import shipped_folder
from mmrefseg.version import __version__


def write_card(config: Config, name: str, metrics: str | Path | None = None, licence: str | None = None) -> str:
    """Write the text of a model card, which is the ``README.md`` of a shared model.

    Args:
        config: the model's config.
        name: what the model is called, such as ``owner/name``.
        metrics: ``metrics.json`` of ``mmrefseg test``. Default None, no figures.
        licence: identifier of the weights' licence, such as ``apache-2.0``. Default None, the card says that none was
            named.

    Raises:
        InputError: ``metrics`` isn't such a file.
    """
    stem = Path(config.filename).stem if config.filename else None
    model, collection = _described(stem)
    figures = _figures(metrics) if metrics else {}
    paper = collection.get('Paper', {})
    header: dict[str, Any] = dict(library_name='mmrefseg', pipeline_tag='image-segmentation',
                                  tags=['referring-image-segmentation', *([collection['Name']] if collection else [])])
    if licence:
        header['license'] = licence
    lines = ['---', yaml.safe_dump(header, sort_keys=False, allow_unicode=True).strip(), '---', '', f'# {name}', '',
             'Finds in an image what an expression refers to.', '', '```python', 'from mmrefseg.apis import '
             'RefSegInferencer', '', f"ask = RefSegInferencer('hf:{name}')",
             "result = ask('street.jpg', 'the red car')[0]", '```', '']
    rows = {'Config': stem, 'Method': collection.get('Name'), 'Paper': ' '.join(filter(None, (
        paper.get('Title'), paper.get('URL')))), **model.get('Metadata', {}), 'mmrefseg': __version__,
            'Licence of the weights': licence or 'none named'}
    lines += ['| | |', '|---|---|', *(f'| {key} | {_cell(value)} |' for key, value in rows.items() if value)]
    if figures:
        lines += ['', '## Figures', '', '| | |', '|---|---|',
                  *(f'| {_cell(key)} | {value:.2f} |' for key, value in figures.items())]
    return '\n'.join(lines) + '\n'


def _cell(value: Any) -> str:
    text = ', '.join(map(str, value)) if isinstance(value, list) else str(value)
    return ' '.join(text.split()).replace('|', '\\|')


def _described(stem: str | None) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What the metafiles say of a config and of its method; nothing where it isn't one of ours."""
    for path in sorted(shipped_folder('configs').glob('*/metafile.yml')):
        content = yaml.safe_load(path.read_text(encoding='utf-8'))
        for model in content.get('Models', []):
            if model['Name'] == stem:
                collections = content.get('Collections', [])
                return model, next((one for one in collections if one['Name'] == model.get('In Collection')), {})
    return {}, {}


def _figures(path: str | Path) -> dict[str, float]:
    content = read_json(path, mend='Let mmrefseg test write it again.')
    found: dict[str, float] = {}

    def collect(part: Any, prefix: str) -> None:
        for key, value in part.items() if isinstance(part, dict) else ():
            if key == 'protocols':
                continue
            if type(value) in (int, float) and abs(value) <= float_info.max:  # which NaN is not
                found[f'{prefix}{key}'] = float(value)
            collect(value, f'{prefix}{key} ')

    collect(content, '')
    if not found:
        raise InputError(f'{path} holds no figures; expected was metrics.json of mmrefseg test')
    return found
