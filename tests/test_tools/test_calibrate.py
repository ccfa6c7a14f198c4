"""The command that fits confidence on a file of predictions."""
import json
import sys

import cv2
import numpy as np
import pytest

from mmrefseg.__main__ import main


@pytest.fixture
def predictions(tmp_path):
    """A model twice as sure as it may be."""
    generator, splits = np.random.default_rng(0), {}
    for split, number in (('val', 3000), ('test', 3000), ('val_shuffled', 5)):
        overlaps = generator.uniform(0.03, 0.97, number)
        chances = 1 / (1 + np.exp(-np.log(overlaps / (1 - overlaps)) / 3))
        splits[split] = [
            {'sent_id': index, 'segmentation': None, 'overlap': float(overlap), 'union': 100,
             'intersection': 51 if generator.uniform() < chance else 50}
            for index, (overlap, chance) in enumerate(zip(overlaps, chances, strict=True))]
    (tmp_path / 'predictions.json').write_text(json.dumps({'protocols': {}, **splits}))
    return tmp_path / 'predictions.json'


@pytest.fixture
def run(monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmrefseg', 'calibrate', *map(str, arguments)])
        monkeypatch.setattr(sys, 'path', [*sys.path])
        main()
    return call


def test_fits_and_measures(predictions, run, capsys):
    run(predictions)
    found = json.loads((predictions.parent / 'calibration.json').read_text())
    assert found['temperature'] == pytest.approx(3, rel=0.2) and found['ece'].keys() == {'test'}
    assert found['ece']['test']['after'] < 6 < found['ece']['test']['before']
    said = capsys.readouterr().out
    assert f'calibration=dict(temperature={found["temperature"]:.4g}' in said and 'of 3000 answers' in said
    assert cv2.imread(str(predictions.parent / 'calibration.png')) is not None


def test_what_is_told(predictions, run, tmp_path):
    with pytest.raises(SystemExit, match=r"has no split 'train'; it has val, test"):
        run(predictions, '--fit', 'train')
    content = json.loads(predictions.read_text())
    del content['val'][3]['overlap']
    predictions.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match=r"val\[3\] has no 'overlap': test the model again"):
        run(predictions)
    content['val'][3]['overlap'] = 'much'
    predictions.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match=r'val\[3\]: overlap must be a number from 0 to 1'):
        run(predictions)
    for pixels in (float('nan'), -1, 101):  # of 100 of the union
        content['val'][3] |= {'overlap': 0.5, 'intersection': pixels}
        predictions.write_text(json.dumps(content))
        with pytest.raises(SystemExit, match=r'val\[3\]: .* no intersection larger than its union'):
            run(predictions)
