"""Reading configs of all kinds, and the devices that models go to."""
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config

import mmrefseg
from mmrefseg.apis import RefSegInferencer
from mmrefseg.apis.config_to_model import check_device, read_config
from mmrefseg.datasets import RefCOCODataset
from mmrefseg.datasets.dataset_configs import build_unread, config_of_split, dataset_config, referring_configs
from mmrefseg.errors import InputError, MissingInputError, UserError

NEW_STYLE = """
from mmengine.config import read_base

with read_base():
    from .settings import *

from mmrefseg.datasets import RefCOCODataset, ReferringMixture
from mmrefseg.datasets.transforms import Letterbox, LoadReferringImage, LoadReferringMask, PackRefSegInputs
from mmrefseg.models import DynamicKernelHead, OpenCLIPTextEncoder, PlainViT, ReferringSegmentor

pipeline = [
    dict(type=LoadReferringImage), dict(type=LoadReferringMask), dict(type=Letterbox, size=size),
    dict(type=PackRefSegInputs)]
refcoco = dict(type=RefCOCODataset, data_root='nowhere', split='train', pipeline=pipeline)
train_dataloader = dict(dataset=dict(type=ReferringMixture, datasets=[refcoco], pipeline=pipeline))
test_dataloader = dict(dataset=dict(type=RefCOCODataset, data_root='nowhere', split='val', pipeline=pipeline))
sizes = dict(context_length=8, vocab_size=49408, width=8, heads=2, layers=1)
model = dict(
    type=ReferringSegmentor,
    text_encoder=dict(type=OpenCLIPTextEncoder, num_tokens=8, arch=dict(embed_dim=8, text_cfg=sizes)),
    backbone=dict(
        type=PlainViT, embed_dim=8, depth=1, num_heads=2, mlp_ratio=1.0, img_size=28,
        out_indices=(0, )),
    decode_head=dict(
        type=DynamicKernelHead, in_channels=8, text_channels=8, sentence_channels=8, num_layers=1, num_heads=2,
        ffn_channels=8))
"""


@pytest.fixture
def write(tmp_path: Path):
    """Write files of a folder; gives the path of the last one."""

    def write(**files: str) -> str:
        for name, text in files.items():
            path = tmp_path / name.replace('__', '.')
            path.write_text(text)
        return str(path)

    return write


def test_classes_in_the_place_of_names(write):
    """As MMEngine's newer configs have them: in the inferencer, the check of sizes, and the search for data sets."""
    path = write(settings__py='size = 56', config__py=NEW_STYLE)
    result, = RefSegInferencer(path, None, 'cpu')(np.zeros((20, 30, 3), np.uint8), 'the cat')
    assert result.mask.shape == (20, 30)
    write(settings__py='size = 57')
    with pytest.raises(InputError, match='size of Letterbox in train_dataloader is 57'):
        RefSegInferencer(path, None, 'cpu')
    config = read_config(path)
    mixture = dataset_config(config, 'train')
    assert [found.datasets[0].data_root for found in referring_configs(mixture)] == ['nowhere']
    assert [found.split for found in referring_configs(mixture, open_mixtures=True)] == ['train']
    assert isinstance(build_unread(config_of_split(config, 'testA')), RefCOCODataset)


@pytest.mark.parametrize(('files', 'error', 'message'), [
    (dict(config__txt='a = 1'), InputError, r'config\.txt cannot be read as a config: .*\nA config is a \.py'),
    (dict(config__json='{"a":'), InputError, r'config\.json cannot be read as a config: JSONDecodeError: Expecting'),
    (dict(config__json='[1, 2]'), InputError, r'config\.json cannot be read as a config'),
    (dict(config__yaml='a: [1\nb: }'), InputError, r'config\.yaml cannot be read as a config: ParserError'),
    (dict(config__py='_base_ = "gone.py"'), MissingInputError, r'config\.py cannot be read as a config: .*gone\.py'),
    (dict(config__json='{"_base_": "gone.py"}'), MissingInputError, r'config\.json cannot be read .*gone\.py'),
    (dict(base__txt='a = 1', config__py='_base_ = "base.txt"'), InputError, 'Only py/yml/yaml/json'),
    (dict(a__py='x = 1', b__py='x = 2', config__py='_base_ = ["a.py", "b.py"]'), InputError, "Duplicate keys: {'x'}"),
    (dict(config__py='_base_ = 5'), InputError, r'config\.py cannot be read as a config'),
    (dict(config__py='_base_ = "mmrefseg::sera/sera_tiny_refshapes.py"'), InputError,
     r"config\.py inherits 'mmrefseg::…'.*Write _base_ = __import__\('mmrefseg'\)\.config_path"),
    (dict(config__py='from mmengine.config import read_base\nwith read_base():\n    from .gone import *'), InputError,
     r'config\.py cannot be read as a config: ConfigParsingError'),
])
def test_what_is_no_config(write, files, error, message):
    path = write(**files)
    with pytest.raises(error, match=message):
        read_config(path, needs_model=False)


@pytest.mark.parametrize(('program', 'error'), [
    ('open("gone.txt")', FileNotFoundError), ('int("five")', ValueError), ('{}["a"]', KeyError), ('a = (', SyntaxError),
    ('assert not 1', AssertionError),
])
def test_errors_of_a_configs_own_code_are_bugs(write, program, error):
    path = write(config__py=program)
    with pytest.raises(error) as caught:
        read_config(path, needs_model=False)
    assert not isinstance(caught.value, UserError)
    path = write(config__py='_base_ = "base.py"', base__py=program)
    with pytest.raises(error) as caught:
        read_config(path, needs_model=False)
    assert not isinstance(caught.value, UserError)


def test_the_way_to_inherit_that_the_message_tells(write):
    path = write(config__py="_base_ = __import__('mmrefseg').config_path('sera/sera_tiny_refshapes.py')\nx = 1")
    config = read_config(path)
    assert config.x == 1
    assert config.model == Config.fromfile(mmrefseg.config_path('sera_tiny_refshapes')).model


def test_a_config_that_is_not_there():
    with pytest.raises(MissingInputError, match="no config 'gone.py'"):
        read_config('gone.py')


@pytest.mark.parametrize('name', ['mps', 'xpu', 'hpu', 'five', 'cuda:99', 'cpu:x'])
def test_devices_that_are_not_there(name):
    if name == 'mps' and torch.backends.mps.is_available():
        pytest.skip('it is there')
    with pytest.raises(InputError, match=f"'{name}'"):
        check_device(name)
    assert check_device('cpu') == torch.device('cpu')
