"""Shared models: written, read as data, pushed to and pulled from what stands for the hub."""
import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from helpers.hub_server import hub_server, imported_afresh
from mmengine.config import Config

from mmrefseg.apis import RefSegInferencer
from mmrefseg.apis.config_to_model import read_config
from mmrefseg.apis.sharing import pull, push, read_model_folder, write_model_folder
from mmrefseg.apis.sharing.model_card import write_card
from mmrefseg.apis.sharing.plain_config import check_plain, flatten
from mmrefseg.errors import FileError, InputError
from mmrefseg.utils.files import sha256_of
from mmrefseg.utils.shipped_files import shipped_folder

CONFIG = 'sera_tiny_refshapes'
IMAGE = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def ask() -> RefSegInferencer:
    torch.manual_seed(0)
    return RefSegInferencer(CONFIG, None, 'cpu')


@pytest.fixture(scope='module')
def pack(ask, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('shared')
    write_model_folder(read_config(CONFIG), ask.model, folder, 'card')
    return folder


@pytest.fixture
def copied(pack, tmp_path) -> Path:
    return Path(shutil.copytree(pack, tmp_path / 'copied'))


def change(folder: Path, edit) -> None:
    path = folder / 'config.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_a_folder_answers_as_what_it_was_made_of(ask, pack):
    assert sorted(path.name for path in pack.iterdir()) == ['README.md', 'config.json', 'model.safetensors']
    for one, other in zip(ask(IMAGE, ['a', 'b']), RefSegInferencer(str(pack), device='cpu')(IMAGE, ['a', 'b']),
                          strict=True):
        assert torch.equal(one.logits, other.logits) and one.threshold == other.threshold


@pytest.mark.parametrize('method', ['sera', 'detris', 'cris', 'segvlm'])
def test_configs_of_the_papers_can_be_shared(method):
    for path in sorted((shipped_folder('configs') / method).glob('*.py')):
        flat = flatten(Config.fromfile(path))
        assert 'Pretrained' not in json.dumps(flat) and '.safetensors' not in json.dumps(flat)


@pytest.mark.parametrize('kind', [
    'os.system', 'builtins.eval', 'eval', 'subprocess', 'subprocess.Popen', 'mmengine.Config.fromfile', 'antigravity',
    'mmpretrain.HuggingFaceCLIP', 'mmseg.EncoderDecoder', 'mmrefseg.os.system', '', 3, None, ['a'], {'a': 1},
    'NoSuchModel', 'mmrefseg.NoSuchModel'])
def test_nothing_of_others_is_built(copied, kind, monkeypatch):
    change(copied, lambda content: content['config']['model'].update(neck=dict(type=kind, command='true')))
    before = set(sys.modules)
    with pytest.raises(InputError, match='no part of mmrefseg'):
        read_model_folder(copied)
    assert 'antigravity' not in sys.modules and set(sys.modules) - before <= set(), 'nothing is imported for it'


@pytest.mark.parametrize(('edit', 'message'), [
    (lambda content: content['config'].update(custom_imports=dict(imports=['os'])), 'not as mmrefseg push writes it'),
    (lambda content: content['config'].update(default_scope='mmengine'), 'not as mmrefseg push writes it'),
    (lambda content: content['config']['model'].update(_scope_='os'), "'_scope_', which has a meaning"),
    (lambda content: content['config']['model']['backbone'].update(_delete_=True), "'_delete_', which has a meaning"),
    (lambda content: content['config']['test_dataloader']['dataset']['pipeline'].append(dict(type='os.system')),
     'no part of mmrefseg'),
    (lambda content: content['config'].pop('model'), "no 'model'|not as mmrefseg push"),
    (lambda content: content.update(config=[]), 'no .test_dataloader'),
    (lambda content: content.update(format=2), 'format 1'),
    (lambda content: content.update(weights_sha256='0'), 'SHA-256 differ'),
    (lambda content: content['config']['model']['backbone'].update(depth=5), 'other weights than its config'),
])
def test_changed_configs_are_refused(copied, edit, message):
    change(copied, edit)
    with pytest.raises(InputError, match=message):
        RefSegInferencer(copied, device='cpu')


def test_damaged_files_are_refused(copied):
    weights = copied / 'model.safetensors'
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match='SHA-256 differ'):
        read_model_folder(copied)
    change(copied, lambda content: content.update(weights_sha256=sha256_of(weights)))
    with pytest.raises(InputError, match='no whole safetensors'):
        read_model_folder(copied)
    for content in (b'{', b'[' * 100000, b'\xff', b'null'):
        (copied / 'config.json').write_bytes(content)
        with pytest.raises(InputError, match='config.json'):
            read_model_folder(copied)
    (copied / 'config.json').write_bytes(b' ' * (1 << 21))
    with pytest.raises(InputError, match='more than 1048576'):
        read_model_folder(copied)


def test_a_program_is_no_data():
    config = read_config(CONFIG)
    config.model.backbone.norm = torch.nn.LayerNorm
    with pytest.raises(InputError, match='cannot be written as JSON'):
        flatten(config)
    with pytest.raises(InputError, match='no test_dataloader'):
        flatten(Config(dict(model=dict(type='ReferringSegmentor'))))
    with pytest.raises(InputError):
        check_plain(None)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """What stands for the hub, asked by the hub's own library."""
    pytest.importorskip('huggingface_hub')
    with hub_server() as server, imported_afresh('huggingface_hub'):
        for name, value in dict(HF_ENDPOINT=server.address, HF_HOME=str(tmp_path / 'home'), HF_TOKEN='hf_made_up',
                                HF_HUB_DISABLE_XET='1', HF_HUB_DISABLE_TELEMETRY='1', HF_HUB_OFFLINE='0').items():
            monkeypatch.setenv(name, value)
        yield server


def test_from_one_user_to_another(hub, ask, pack, tmp_path):
    assert push(pack, 'hf:me/tiny') == f'{hub.address}/me/tiny'
    assert hub.repositories == {'me/tiny': {path.name: path.read_bytes() for path in pack.iterdir()}}
    [expected] = ask(IMAGE, 'a')
    for name in ('hf:me/tiny', pull('hf:me/tiny@main', tmp_path / 'out')):
        [result] = RefSegInferencer(name, device='cpu')(IMAGE, 'a')
        assert torch.equal(result.logits, expected.logits)
    with pytest.raises(FileError, match='hf:me/other: .*404'):
        pull('hf:me/other')
    del hub.repositories['me/tiny']['model.safetensors']
    with pytest.raises(InputError, match='no model of mmrefseg'):
        pull('hf:me/tiny')


def test_names_that_are_none():
    pytest.importorskip('huggingface_hub')
    with pytest.raises(InputError, match='no name on the hub'):
        pull('hf:../../etc')


def test_the_card():
    config = read_config('sera_dinov2_refcoco')
    text = write_card(config, 'me/sera', licence='apache-2.0')
    header = yaml.safe_load(text.split('---')[1])
    assert header['license'] == 'apache-2.0' and header['pipeline_tag'] == 'image-segmentation'
    assert 'SERA' in header['tags'] and 'https://arxiv.org/abs/2603.12538' in text and '186863801' in text
    assert "RefSegInferencer('hf:me/sera')" in text
    assert 'none named' in write_card(Config(dict(model={})), 'x')


def test_the_cards_figures(tmp_path):
    path = tmp_path / 'metrics.json'
    path.write_text(json.dumps(dict(val={'mIoU': 61.234, 'Pr@50': 70}, protocols=dict(cris=dict(threshold=0.35)))))
    text = write_card(read_config(CONFIG), 'x', path)
    assert '| val mIoU | 61.23 |' in text and '| val Pr@50 | 70.00 |' in text and 'threshold' not in text
    path.write_text('{"a|b\\n# c": {"mIoU": 1, "x": NaN, "y": 1e400, "z": 1' + '0' * 400 + '}}')
    assert write_card(read_config(CONFIG), 'x', path).endswith('|---|---|\n| a\\|b # c mIoU | 1.00 |\n')
    path.write_text('{}')
    with pytest.raises(InputError, match='no figures'):
        write_card(read_config(CONFIG), 'x', path)


def command(monkeypatch, name: str, *arguments: object) -> None:
    tool = shipped_folder('tools') / f'{name}.py'
    monkeypatch.setattr(sys, 'argv', [tool.name, *map(str, arguments)])
    runpy.run_path(str(tool), run_name='__main__')


def test_commands(hub, ask, monkeypatch, tmp_path, capsys):
    torch.save(ask.model.state_dict(), tmp_path / 'w.pth')
    command(monkeypatch, 'model_converters/push_model', CONFIG, tmp_path / 'w.pth', 'hf:me/tiny', '--licence', 'mit')
    assert b'license: mit' in hub.repositories['me/tiny']['README.md']
    command(monkeypatch, 'model_converters/pull_model', 'hf:me/tiny', '--out', tmp_path / 'got')
    assert safetensors.torch.load_file(tmp_path / 'got/model.safetensors').keys() == ask.model.state_dict().keys()
    command(monkeypatch, 'model_converters/push_model', CONFIG, tmp_path / 'w.pth', tmp_path / 'folder')
    capsys.readouterr()
    with pytest.raises(SystemExit, match='no name on the hub'):
        command(monkeypatch, 'model_converters/pull_model', 'me/tiny', '--out', tmp_path / 'other')


@pytest.mark.parametrize('edit', [
    lambda model: model['backbone'].update(depth=10**4), lambda model: model['decode_head'].update(num_layers=10**4),
    lambda model: model['text_encoder']['arch']['text_cfg'].update(layers=10**4),
    lambda model: model['text_encoder']['arch']['text_cfg'].update(context_length=10**5)])
def test_models_out_of_proportion(copied, edit, monkeypatch):
    """A few bytes would have a million layers built, or a mask of attention that fills the memory."""
    monkeypatch.setattr('mmrefseg.apis.sharing.model_folder._PER_WEIGHT', 10)
    monkeypatch.setattr('mmrefseg.apis.sharing.model_folder._MORE', 0)
    change(copied, lambda content: edit(content['config']['model']))
    with pytest.raises(InputError, match='far more parts than|would have 10000000000 numbers'):
        read_model_folder(copied)


@pytest.mark.parametrize('value', [10**9, 1e300, -10**7, [[1, 10**9]]])
def test_numbers_out_of_proportion(copied, value):
    """Libraries make lists of as many entries as there are to be layers."""
    change(copied, lambda content: content['config']['model']['backbone'].update(depth=value))
    with pytest.raises(InputError, match="'depth' with a number above 1048576"):
        read_model_folder(copied)


def test_squares_out_of_proportion(copied):

    def enlarge(content):
        for step in content['config']['test_dataloader']['dataset']['pipeline']:
            if 'size' in step:
                step['size'] = 8 * 10**5

    change(copied, enlarge)
    with pytest.raises(InputError, match='size must be a positive number of pixels up to'):
        RefSegInferencer(copied, device='cpu')


@pytest.mark.parametrize('settings', [dict(trust_remote_code=True), dict(cache_dir='/tmp'), dict(tokenizer_file='/a'),
                                      dict(clean='lower', subfolder='x'), ['trust_remote_code']])
def test_tokenizers_run_no_code(copied, settings):
    """transformers runs the code of a repository where a setting tells it to."""
    change(copied, lambda content: content['config']['model']['text_encoder'].update(arch=dict(
        embed_dim=16, text_cfg=dict(hf_model_name='a/b', hf_tokenizer_name='a/b', tokenizer_kwargs=settings))))
    with pytest.raises(InputError, match='tokenizer_kwargs of .* its settings are'):
        read_model_folder(copied)


@pytest.mark.parametrize('name', ['README.md', 'config.json', 'model.safetensors'])
def test_files_of_others_are_not_replaced(hub, ask, pack, tmp_path, name):
    push(pack, 'hf:me/tiny')
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / name).write_text('{"model_type": "bert"}')
    for write in (lambda: write_model_folder(read_config(CONFIG), ask.model, tmp_path / 'mine', 'card'),
                  lambda: pull('hf:me/tiny', tmp_path / 'mine')):
        with pytest.raises(FileError, match=f'holds {name}, which is not of such a run'):
            write()
    assert [path.read_text() for path in (tmp_path / 'mine').iterdir()] == ['{"model_type": "bert"}']
    write_model_folder(read_config(CONFIG), ask.model, tmp_path / 'again', 'one')
    write_model_folder(read_config(CONFIG), ask.model, tmp_path / 'again', 'two')
    assert (tmp_path / 'again/README.md').read_text() == 'two'
