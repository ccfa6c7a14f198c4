"""Towers and tokenizers of transformers, made small in a folder; what names no tokenizer is refused without it, too."""
import json
import sys
from types import SimpleNamespace

import open_clip
import pytest
import torch

from mmrefseg.errors import InputError, MissingInputError, MissingPackageError
from mmrefseg.models import OpenCLIPTextEncoder
from mmrefseg.models.text_encoders import hugging_face

WORDS = ['<s>', '<pad>', '</s>', '<unk>', 'das', 'rote', 'auto', 'la', 'voiture', 'rouge']
TEXTS = ['das rote auto', 'la voiture', 'das das das das das das das das das das']


@pytest.mark.parametrize('text_cfg, message', [
    (dict(hf_model_name='xlm-roberta-base'), 'names no tokenizer: set hf_tokenizer_name'),
    (dict(hf_model_name='xlm-roberta-base', hf_tokenizer_name=''), "hf_tokenizer_name of .* is ''; it must be a name"),
    (dict(hf_model_name=' ', hf_tokenizer_name='xlm-roberta-base'), 'hf_model_name of .* must be a name'),
    (dict(context_length=8, vocab_size=250000, width=32, heads=2, layers=1), 'names no tokenizer'),
])
def test_a_missing_tokenizer_does_not_slip_through(text_cfg, message):
    with pytest.raises(InputError, match=message):
        OpenCLIPTextEncoder(dict(embed_dim=16, text_cfg=text_cfg), num_tokens=6)


def test_without_transformers(monkeypatch):
    monkeypatch.setattr(hugging_face, 'find_spec', lambda name: None)
    with pytest.raises(MissingPackageError, match=r'takes its tokenizer .* pip install "mmrefseg\[languages\]"'):
        OpenCLIPTextEncoder('xlm-roberta-base-ViT-B-32')


def test_no_program_of_a_repository_runs(monkeypatch):
    """Without a word of ours transformers would ask the user, and wait for an answer."""
    asked = []

    class Tokenizer(list):
        pad_token_id = 0

        @classmethod
        def from_pretrained(cls, name, trust_remote_code=None, **settings):
            asked.append((name, trust_remote_code))
            return cls()

    class Tower:
        @staticmethod
        def from_pretrained(name, trust_remote_code=None):
            asked.append((name, trust_remote_code))
            raise ValueError('the repository contains custom code. Set trust_remote_code=True')

    monkeypatch.setitem(sys.modules, 'transformers', SimpleNamespace(AutoConfig=Tower, AutoTokenizer=Tokenizer))
    monkeypatch.setattr(hugging_face, 'find_spec', lambda name: True)
    hugging_face.HuggingFaceTokenizer(dict(hf_tokenizer_name='tokens'), 8)
    with pytest.raises(MissingInputError, match="the tower 'program' cannot be had: .* contains custom code"):
        OpenCLIPTextEncoder(arch_of('program'), num_tokens=8)
    assert asked == [('tokens', False), ('program', False)]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A tower of XLM-RoBERTa and a tokenizer of whole words."""
    transformers = pytest.importorskip('transformers')
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    folder = tmp_path_factory.mktemp('tower')
    transformers.XLMRobertaConfig(
        vocab_size=len(WORDS), hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=20, pad_token_id=1, bos_token_id=0, eos_token_id=2).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token='<unk>'))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single='<s> $A </s>', special_tokens=[('<s>', 0), ('</s>', 2)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token='<s>', eos_token='</s>', pad_token='<pad>', unk_token='<unk>',
        cls_token='<s>', sep_token='</s>').save_pretrained(folder)
    return folder


def arch_of(folder, **changes):
    return dict(embed_dim=16, text_cfg=dict(hf_model_name=str(folder), hf_tokenizer_name=str(folder),
                                            hf_proj_type='linear', hf_pooler_type='mean_pooler', **changes))


def test_tokens(folder):
    ids, mask = OpenCLIPTextEncoder(arch_of(folder), num_tokens=8).tokenize(TEXTS)
    assert ids.tolist() == [[0, 4, 5, 6, 2, 1, 1, 1], [0, 7, 8, 2, 1, 1, 1, 1], [0, 4, 4, 4, 4, 4, 4, 2]]
    assert mask.sum(1).tolist() == [5, 4, 8]


def test_features_are_those_of_open_clip(folder, tmp_path):
    encoder = OpenCLIPTextEncoder(arch_of(folder), num_tokens=8).eval()
    assert (encoder.channels, encoder.sentence_channels) == (24, 16)
    ids, mask = encoder.tokenize(TEXTS)
    features = encoder(ids, mask)
    torch.testing.assert_close(features.sentence, encoder.tower(ids))
    assert features.tokens.shape == (3, 8, 24) and features.mask is mask
    # Padding has no part in what is said.
    short = encoder(ids[1:2, :4], mask[1:2, :4])
    torch.testing.assert_close(short.tokens, features.tokens[1:2, :4], atol=1e-5, rtol=1e-4)
    state = {f'text.{name}': value for name, value in encoder.tower.state_dict().items()}
    torch.save({**state, 'text.transformer.embeddings.position_ids': torch.arange(20)[None], 'visual.a': ids},
               tmp_path / 'clip.pt')
    other = OpenCLIPTextEncoder(
        arch_of(folder), num_tokens=8, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'clip.pt'))).eval()
    assert not torch.allclose(other(ids, mask).sentence, features.sentence)
    other.init_weights()
    torch.testing.assert_close(other(ids, mask).sentence, features.sentence)


def test_gradients_reach_all_but_what_is_frozen(folder):
    encoder = OpenCLIPTextEncoder(arch_of(folder), num_tokens=8, tuning='norm_bias')
    encoder(*encoder.tokenize(TEXTS)).sentence.sum().backward()
    trained = {name for name, value in encoder.named_parameters() if value.requires_grad}
    assert trained and all(name.endswith('bias') or 'LayerNorm' in name for name in trained)


def test_open_clips_own_tower_with_a_tokenizer_of_hugging_face(folder):
    text = dict(context_length=8, vocab_size=len(WORDS), width=32, heads=2, layers=1, no_causal_mask=True,
                pool_type='last', pad_id=1, hf_tokenizer_name=str(folder))
    encoder = OpenCLIPTextEncoder(dict(embed_dim=16, text_cfg=text), num_tokens=8)
    features = encoder(*encoder.tokenize(TEXTS))
    assert features.tokens.shape == (3, 8, 32) and features.sentence.shape == (3, 16)
    with pytest.raises(InputError, match='is 6; it must be 8, as its arch reads the sentence off the last place'):
        OpenCLIPTextEncoder(dict(embed_dim=16, text_cfg=text), num_tokens=6)


def test_a_wrong_tokenizer_is_refused(folder, tmp_path):
    for key, message in (('hf_tokenizer_name', 'the tokenizer .*nowhere.* cannot be had'),
                         ('hf_model_name', 'the tower .*nowhere.* cannot be had')):
        with pytest.raises(MissingInputError, match=message):
            OpenCLIPTextEncoder(dict(embed_dim=16, text_cfg={
                **arch_of(folder)['text_cfg'], key: str(tmp_path / 'nowhere')}), num_tokens=8)
    config = json.loads((folder / 'config.json').read_text())
    for changes, message in ((dict(vocab_size=5), 'has 10 tokens, the tower 5'),
                             (dict(vocab_size=20), 'has 10 tokens, the tower 20'),
                             (dict(pad_token_id=3), 'pads with 1')):
        (tmp_path / 'config.json').write_text(json.dumps({**config, **changes}))
        arch = dict(embed_dim=16, text_cfg={**arch_of(folder)['text_cfg'], 'hf_model_name': str(tmp_path)})
        with pytest.raises(InputError, match=message):
            OpenCLIPTextEncoder(arch, num_tokens=8)


def test_adapters_have_no_place_in_there(folder):
    with pytest.raises(InputError, match='adapter.indices'):
        OpenCLIPTextEncoder(arch_of(folder), num_tokens=8, adapter=dict(indices=(0, ), channels=4))


def test_open_clips_multilingual_configs_name_their_tokenizers():
    for name in open_clip.list_models():
        text = open_clip.get_model_config(name)['text_cfg']
        if text.get('hf_model_name'):
            assert text.get('hf_tokenizer_name'), name
