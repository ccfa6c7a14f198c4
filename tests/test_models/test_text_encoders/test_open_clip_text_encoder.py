import copy

import open_clip
import pytest
import torch
from helpers.golden import golden_weights, read_golden
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file
from torch import nn

from mmrefseg.errors import InputError
from mmrefseg.models import OpenCLIPTextEncoder
from mmrefseg.models.text_encoders import open_clip_text_encoder

TEXT = dict(context_length=12, vocab_size=49408, width=32, heads=2, layers=3)
ARCH = dict(embed_dim=20, quick_gelu=True, text_cfg=TEXT)
VISION = dict(layers=1, width=32, head_width=16, patch_size=8, image_size=16)
TEXTS = ['a', 'the man left of the red car', 'blue square', 'one two three four five six seven eight nine ten eleven']


def make_clip(kind=CLIP, **text):
    clip = kind(20, VISION, {**TEXT, **text}, quick_gelu=True).eval()
    for parameter in clip.parameters():
        nn.init.normal_(parameter, std=0.05)
    return clip


def make_encoder(num_tokens=12, arch=ARCH, **kwargs):
    return OpenCLIPTextEncoder(arch, num_tokens, **kwargs).eval()


def load(checkpoint, **kwargs):
    encoder = make_encoder(init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)), **kwargs)
    encoder.init_weights()
    return encoder


def save(path, state):
    (save_file if path.suffix == '.safetensors' else torch.save)(state, path)
    return path


@pytest.mark.parametrize('kind', [CLIP, CustomTextCLIP])
@pytest.mark.parametrize('suffix', ['.pt', '.safetensors'])
def test_sentence_is_open_clips(tmp_path, kind, suffix):
    clip = make_clip(kind)
    encoder = load(save(tmp_path / f'clip{suffix}', clip.state_dict()))
    ids, mask = encoder.tokenize(TEXTS)
    torch.testing.assert_close(encoder(ids, mask).sentence, clip.encode_text(ids), atol=1e-5, rtol=1e-5)


def test_words_are_the_unprojected_final_norm():
    clip, encoder = make_clip(CustomTextCLIP), make_encoder()
    clip.text.output_tokens = True
    encoder.tower.load_state_dict(clip.text.state_dict())
    ids, mask = encoder.tokenize(TEXTS)
    pooled, tokens = clip.text(ids)
    features = encoder(ids, mask)
    torch.testing.assert_close(features.tokens, tokens)
    torch.testing.assert_close(features.sentence, pooled)
    assert features.mask is mask
    ends = mask.sum(1) - 1
    torch.testing.assert_close(features.sentence, tokens[range(4), ends] @ clip.text.text_projection)


def test_fewer_tokens_change_nothing_but_the_padding():
    long, short = make_encoder(12), make_encoder(6)
    short.load_state_dict(long.state_dict())
    text = ['red circle']
    expected, found = long(*long.tokenize(text)), short(*short.tokenize(text))
    assert found.tokens.shape == (1, 6, 32)
    torch.testing.assert_close(found.tokens, expected.tokens[:, :6])
    torch.testing.assert_close(found.sentence, expected.sentence)


@pytest.mark.parametrize('text', [
    dict(no_causal_mask=True), dict(proj_bias=True), dict(ls_init_value=0.3), dict(proj_type='none'),
    dict(pool_type='eos', eos_id=49407),
], ids=str)
def test_other_towers_of_open_clip(text):
    clip = make_clip(CustomTextCLIP, **text)
    encoder = make_encoder(arch=dict(ARCH, text_cfg={**TEXT, **text}), adapter=dict(indices=(0, 2), channels=16))
    encoder.tower.load_state_dict(clip.text.state_dict())
    ids, mask = encoder.tokenize(TEXTS)
    torch.testing.assert_close(encoder(ids, mask).sentence, clip.encode_text(ids))


def test_towers_with_a_class_token_are_refused():
    """CoCa pools a token of its own behind the words, which has no place in the mask."""
    with pytest.raises(ValueError, match='class token'):
        make_encoder(arch=dict(ARCH, text_cfg=dict(TEXT, embed_cls=True)))


def test_golden(golden_folder):
    """DETRIS's text encoder with its adapters; a bias in front of a BN is the same as a smaller running mean."""
    golden = read_golden(golden_folder / 'detris_b_text.npz')
    weights = golden_weights(golden.meta['state_dict'], golden.meta['seed'])
    state = {}
    for name, value in weights.items():
        name = name.removeprefix('txt_backbone.')
        if '.adapter.' in name:
            if name.endswith('running_mean'):
                value = value - weights['txt_backbone.' + name.replace('bn.running_mean', 'conv.bias')]
            name = name.replace('transformer.resblocks.', 'adapters.').replace('.adapter.dense_', '.branches.')
            name = name.replace('.adapter.D_fc1', '.down').replace('.adapter.D_fc2', '.up')
            if not name.endswith('conv.bias'):
                state[name] = value
        elif name != 'logit_scale':
            state[f'tower.{name}'] = value
    encoder = OpenCLIPTextEncoder(adapter=dict(indices=(1, 3, 5, 7, 9, 11))).eval()
    encoder.load_state_dict(state)
    ids = torch.from_numpy(golden.arrays['tokens'])
    with torch.no_grad():
        features = encoder(ids, ids != 0)
    for found, key in ((features.tokens[..., :8], 'words'), (features.sentence, 'state')):
        expected = torch.from_numpy(golden.arrays[key])
        torch.testing.assert_close(found, expected, atol=1e-4 * expected.abs().max().item(), rtol=0)


def test_adapters_start_as_nothing():
    plain, adapted = make_encoder(), make_encoder(adapter=dict(indices=(0, 2), channels=16))
    adapted.tower.load_state_dict(plain.tower.state_dict())
    ids, mask = plain.tokenize(TEXTS)
    assert torch.equal(adapted(ids, mask).tokens, plain(ids, mask).tokens)
    nn.init.normal_(adapted.adapters['2'].up.weight)
    assert not torch.allclose(adapted(ids, mask).tokens, plain(ids, mask).tokens)


@pytest.mark.parametrize(('settings', 'message'), [
    (dict(adapter=dict(indices=(1, 7))), r'adapter\.indices of OpenCLIPTextEncoder is \(1, 7\); .* 0 to 2, each'),
    (dict(adapter=dict(indices=(1, 1))), r'adapter\.indices of OpenCLIPTextEncoder is \(1, 1\); .* at most once'),
    (dict(adapter=dict(indices=(1, ), channels=40)), 'channels of TextAdapter is 40; it must be a multiple of 16'),
    (dict(tuning='some'), "tuning of OpenCLIPTextEncoder is 'some'; it must be one of 'none', 'norm_bias', 'all'"),
    (dict(arch=dict(ARCH, text_cfg=dict(ARCH['text_cfg'], heads=5))), r'text_cfg\.heads of OpenCLIPTextEncoder is 5; '),
])
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        make_encoder(**settings)


def test_tuning():
    encoder = make_encoder(adapter=dict(indices=(0, ), channels=16), tuning='norm_bias')
    for name, parameter in encoder.named_parameters():
        norm_or_bias = name.endswith('bias') or '.ln_' in name
        assert parameter.requires_grad == (name.startswith('adapters.') or norm_or_bias), name
    assert encoder.new_parts() == (encoder.adapters, )


@pytest.mark.parametrize('tuning', ['none', 'norm_bias', 'all'])
def test_modes(tuning):
    encoder = make_encoder(adapter=dict(indices=(0, ), channels=16), tuning=tuning)
    for mode in (True, False):
        assert encoder.train(mode) is encoder
        assert {module.training for module in encoder.tower.modules()} == {mode and tuning == 'all'}
        assert {module.training for module in encoder.adapters.modules()} == {mode}


@pytest.mark.parametrize('tuning', ['none', 'norm_bias'])
def test_what_is_frozen_stays_the_same_bit_for_bit(tuning):
    encoder = make_encoder(adapter=dict(indices=(1, ), channels=16), tuning=tuning)
    before = copy.deepcopy(encoder.state_dict())
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=0.01, weight_decay=0.1)
    for _ in range(3):
        features = encoder.train()(*encoder.tokenize(TEXTS))
        (features.tokens.sum() + features.sentence.sum()).backward()
        optimizer.step()
    frozen = {name for name, p in encoder.named_parameters() if not p.requires_grad}
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert {'tower.token_embedding.weight', 'tower.text_projection'} <= frozen
    assert not changed & frozen
    assert any(name.endswith('running_mean') for name in changed)
    assert ('tower.transformer.resblocks.0.attn.in_proj_bias' in changed) is (tuning == 'norm_bias')


def test_nothing_is_kept_ahead_of_what_trains(count_saved):
    sizes = []
    for indices in ((), (2, ), (0, )):
        encoder = make_encoder(adapter=dict(indices=indices, channels=16), tuning='none').train()
        text = encoder.tokenize(TEXTS)
        sizes.append(count_saved(lambda run=encoder, text=text: run(*text), encoder))
        assert encoder(*text).tokens.requires_grad is bool(indices)
    assert sizes[0] == 0 < sizes[1]
    # two blocks more: the inputs of two norms and of the activation, 4 times as wide, and the attention's tensors
    assert sizes[2] - sizes[1] > 2 * len(TEXTS) * 12 * 4 * (6 * 32 + 4 * 32)


def test_channels():
    encoder = make_encoder()
    features = encoder(*encoder.tokenize(TEXTS))
    assert (encoder.channels, encoder.sentence_channels) == (32, 20)
    assert (features.tokens.shape, features.sentence.shape) == ((4, 12, 32), (4, 20))


# Tokens


@pytest.mark.parametrize(
    'text', [*TEXTS, '', '   ', '🐶🚗', '🐶' * 500, 'dog ' * 500, 'Café, naïve! 2nd', '左边的人', '\0\n'])
def test_tokens_are_open_clips(text):
    """Its tokenizer also cuts and keeps the end token."""
    encoder = make_encoder(8)
    ids, mask = encoder.tokenize([text])
    assert ids.tolist() == open_clip.SimpleTokenizer(context_length=8)([text]).tolist()
    length = ids[0].tolist().index(49407) + 1
    assert mask.tolist() == [[True] * length + [False] * (8 - length)]
    assert ids.max() < 49408


def test_an_endless_expression_is_refused_before_it_is_cleaned(monkeypatch):
    """Cleaning 64,000 characters of nested HTML takes 13 seconds."""
    encoder = make_encoder()
    monkeypatch.setattr(encoder, 'tokenizer', None)
    with pytest.raises(InputError, match='the expression has 64001 characters, more than 4096'):
        encoder.tokenize(['&' + 'amp;' * 16000])


def test_tokens_of_a_batch():
    ids, mask = make_encoder(6).tokenize(['dog', 'a dog', 'dog'])
    assert ids.dtype == torch.int64
    assert mask.dtype == torch.bool
    assert ids.shape == mask.shape == (3, 6)
    assert mask.sum(1).tolist() == [3, 4, 3]
    assert torch.equal(ids[0], ids[2])
    assert ids[0, 0] == ids[1, 0] == 49406


def test_the_mask_counts_lengths_not_zeros():
    """A ``!`` inside a word has the id of the padding."""
    encoder = make_encoder(6)
    ids, mask = encoder.tokenize(['!%'])
    assert ids.tolist() == [[49406, 0, 260, 49407, 0, 0]]
    assert mask.tolist() == [[True] * 4 + [False] * 2]


def test_cutting_is_said_once(monkeypatch):
    said = []
    monkeypatch.setattr(open_clip_text_encoder, 'print_log', lambda message, **kwargs: said.append(message))
    encoder = make_encoder(6)
    encoder.tokenize(['a b c d'])
    assert not said
    encoder.tokenize(['a b c d e', 'f g h i j k'])
    encoder.tokenize(['a b c d e', 'l m n o p'])
    message, = said
    assert '5 tokens is cut to 4 (num_tokens=6' in message
    assert "'a b c d e'" in message


@pytest.mark.parametrize('num_tokens', [2, 13])
def test_impossible_number_of_tokens(num_tokens):
    with pytest.raises(ValueError, match=f'num_tokens of OpenCLIPTextEncoder is {num_tokens};.*3 to 12'):
        make_encoder(num_tokens)


# Architectures and weights


def test_unknown_architecture():
    with pytest.raises(ValueError, match=r"no architecture 'ViT-Z-3'.*list_models"):
        OpenCLIPTextEncoder('ViT-Z-3')


def test_architectures_by_name():
    with torch.device('meta'):
        encoder = OpenCLIPTextEncoder('RN101-quickgelu', num_tokens=77)
    assert (encoder.channels, encoder.sentence_channels, len(encoder.tower.transformer.resblocks)) == (512, 512, 12)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'CLIP needs the weights .*nowhere\.safetensors'):
        load(tmp_path / 'nowhere.safetensors')
    encoder = OpenCLIPTextEncoder(init_cfg=dict(type='Pretrained', checkpoint='no-such-tag'))
    with pytest.raises(ValueError, match=r"no-such-tag.*'ViT-B-16-quickgelu'.*openai"):
        encoder.init_weights()


def test_tags_of_open_clip(tmp_path, monkeypatch):
    asked = []
    encoder = OpenCLIPTextEncoder(init_cfg=dict(type='Pretrained', checkpoint='openai'))
    state = {name: torch.full_like(value, 0.5) for name, value in encoder.tower.state_dict().items()}
    path = save(tmp_path / 'weights.safetensors', state)
    monkeypatch.setattr(open_clip, 'download_pretrained', lambda config: asked.append(config) or str(path))
    encoder.init_weights()
    path.unlink()
    assert asked == [open_clip.get_pretrained_cfg('ViT-B-16-quickgelu', 'openai')]
    assert all((p == 0.5).all() for p in encoder.tower.parameters())


def test_a_training_checkpoint_of_open_clip(tmp_path):
    clip = make_clip()
    encoder = load(save(tmp_path / 'epoch_1.pt', dict(epoch=1, name='run', state_dict=clip.state_dict())))
    ids, mask = encoder.tokenize(TEXTS)
    torch.testing.assert_close(encoder(ids, mask).sentence, clip.encode_text(ids), atol=1e-5, rtol=1e-5)


def test_weights_of_another_architecture(tmp_path):
    with pytest.raises(ValueError, match=r'ln_final\.bias \(16,\) instead of \(32,\)'):
        load(save(tmp_path / 'narrow.pt', make_clip(width=16).state_dict()))
    with pytest.raises(ValueError, match=r'unknown to the model: transformer\.resblocks\.3\.'):
        load(save(tmp_path / 'deep.pt', make_clip(layers=4).state_dict()))
    with pytest.raises(ValueError, match=r'missing there: .*transformer\.resblocks\.2\.'):
        load(save(tmp_path / 'flat.pt', make_clip(layers=2).state_dict()))
    with pytest.raises(ValueError, match=r'2 weights there are unknown to the model: bias, weight'):
        load(save(tmp_path / 'foreign.pt', nn.Linear(2, 2).state_dict()))


def test_loading_leaves_adapters_alone(tmp_path):
    path = save(tmp_path / 'clip.pt', make_clip().state_dict())
    encoder = make_encoder(
        adapter=dict(indices=(1, ), channels=16), init_cfg=dict(type='Pretrained', checkpoint=str(path)))
    before = {name: value.clone() for name, value in encoder.adapters.state_dict().items()}
    encoder.init_weights()
    assert all(torch.equal(value, before[name]) for name, value in encoder.adapters.state_dict().items())


def test_bfloat16():
    encoder = make_encoder(adapter=dict(indices=(1, ), channels=16))
    ids, mask = encoder.tokenize(TEXTS)
    exact = encoder(ids, mask)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        rough = encoder(ids, mask)
    torch.testing.assert_close(rough.tokens.float(), exact.tokens, atol=0.1, rtol=0.1)
