"""Files of predictions."""
from __future__ import annotations

import json
from pathlib import Path

from mmrefseg.evaluation.predictions import read_predictions
from mmrefseg.structures.mask_formats import draw_mask

from .damaged_files import Attempt, damaged

_RLE = {'size': [24, 32], 'counts': [40, 80, 648]}
_ANSWERS = [{'sent_id': 3, 'segmentation': _RLE, 'score': 0.5}, {'sent_id': 4, 'segmentation': None},
            {'ref_id': 2, 'sentence': 'ä', 'image_id': 7, 'segmentation': [[2, 2, 12, 2, 12, 12]], 'split': 'val'}]
PREDICTIONS = {
    'list.json': json.dumps(_ANSWERS),
    'splits.json': json.dumps({'val': _ANSWERS[:2], 'protocols': {}}),
    'lines.jsonl': ''.join(json.dumps(answer) + '\n' for answer in _ANSWERS),
}


def predictions(name: str, folder: Path) -> Attempt:
    path = folder / name

    def attempt(seed):
        path.write_bytes(damaged(PREDICTIONS[name].encode(), name, seed))
        for found in read_predictions(path).splits.values():
            for prediction in found:
                for mask in prediction.masks.values():
                    draw_mask(mask, 24, 32)

    return attempt
