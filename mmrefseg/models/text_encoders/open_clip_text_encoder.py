"""CLIP text towers of open_clip as text encoders."""
from __future__ import annotations

from contextlib import nullcontext

import open_clip
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from open_clip.hf_model import HFTextEncoder
from open_clip.model import CLIPTextCfg, _build_text_tower
from open_clip.transformer import text_global_pool
from torch import Tensor, nn

from mmrefseg.checkpoints.clip import find_clip_config, read_clip_weights
from mmrefseg.checkpoints.module_weights import load_weights
from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.utils.expression_checks import check_expression

from ..layers import TextAdapter, TextFeatures, check_heads, check_setting, choose_blocks, is_whole
from ..layers.tuning import TunedEncoder
from . import hugging_face
from .hugging_face import HuggingFaceTokenizer

_REMEMBERED = 2**16  # expressions whose tokens are kept; the oldest goes first


@MODELS.register_module()
class OpenCLIPTextEncoder(TunedEncoder, BaseModule):
    """Text transformer of CLIP (arXiv 2103.00020) as open_clip builds it.

    Word features are the output of the final layer norm, unprojected; the sentence feature is that of the end
    token, projected. OpenAI's weights need a ``-quickgelu`` architecture: the plain ones use another activation.

    Args:
        arch: an open_clip architecture such as ``ViT-B-16-quickgelu``, or a dict in open_clip's own form
            (``embed_dim``, ``text_cfg``, optionally ``quick_gelu``). Multilingual ones, such as
            ``xlm-roberta-base-ViT-B-32``, take tower or tokenizer from Hugging Face's transformers (extra
            ``languages``), by names on the hub or of folders. Default ``'ViT-B-16-quickgelu'``.
        num_tokens: tokens per expression, start and end included; longer ones are cut, the end token kept. A tower that
            reads the sentence off the last place, as SigLIP's do, needs its whole context. Default 17.
        adapter: arguments of :class:`TextAdapter` without ``dims``, and ``indices``, the 0-based blocks that get
            one. Default None: no adapters.
        tuning: which pretrained parameters train: ``none``, ``norm_bias`` (LayerNorm and biases) or ``all``. Without
            ``all``, the tower stays in evaluation mode. Default ``all``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` with a local file or a pretrained tag of open_clip
            (``openai``); None leaves random weights. Default None.

    Raises:
        InputError: ``arch`` is unknown or not a CLIP text transformer, ``num_tokens`` or the adapters' blocks do not
            fit it, ``tuning`` is unknown, or the tokenizer is not the tower's.
        MissingInputError: a tower or tokenizer of Hugging Face is not here.
        MissingPackageError: transformers is needed, and not installed.
    """

    def __init__(self,
                 arch: str | dict = 'ViT-B-16-quickgelu',
                 num_tokens: int = 17,
                 adapter: dict | None = None,
                 tuning: str = 'all',
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.arch = arch
        self.num_tokens = num_tokens
        config = self._find_config(arch)
        # Its weights come from init_cfg, as those of every other tower do.
        text_cfg = {**config['text_cfg'], 'hf_model_pretrained': False}
        sizes = CLIPTextCfg(**text_cfg)
        check_heads('arch.text_cfg.heads of OpenCLIPTextEncoder', sizes.heads, sizes.width)
        foreign = hugging_face.check_names(text_cfg, arch)
        hub_name = text_cfg.get('hf_model_name')
        with hugging_face.from_hub(f'the tower {hub_name!r}') if hub_name else nullcontext():
            if hub_name:
                hugging_face.refuse_programs(hub_name)
            self.tower = _build_text_tower(config['embed_dim'], text_cfg, config.get('quick_gelu', False))
        self.is_clips = not isinstance(self.tower, HFTextEncoder)
        longest = self.tower.context_length
        check_setting('num_tokens of OpenCLIPTextEncoder', num_tokens,
                      is_whole(num_tokens, 3) and num_tokens <= (longest or num_tokens),
                      f'a whole number from 3 to {longest}, the context length of its arch')
        if self.is_clips and self.tower.pool_type == 'last':
            check_setting('num_tokens of OpenCLIPTextEncoder', num_tokens, num_tokens == longest,
                          f'{longest}, as its arch reads the sentence off the last place')
        if foreign:
            self.tokenizer = hugging_face.HuggingFaceTokenizer(text_cfg, num_tokens)
            hugging_face.check_tokenizer(self.tokenizer, self.tower)
        else:
            self.tokenizer = open_clip.SimpleTokenizer()
        width = self.tower.width if self.is_clips else self.tower.config.hidden_size
        self.channels, self.sentence_channels = width, config['embed_dim']
        adapter = dict(adapter or {})
        indices = adapter.pop('indices', ())
        blocks = choose_blocks('adapter.indices of OpenCLIPTextEncoder', indices,
                               len(self.tower.transformer.resblocks) if self.is_clips else 0)
        self.adapters = nn.ModuleDict({str(i): TextAdapter(width, **adapter) for i in blocks})
        self.set_tuning(tuning)
        self._ids: dict[str, list[int]] = {}
        self._has_warned = False

    @staticmethod
    def _find_config(arch: str | dict) -> dict:
        config = find_clip_config(arch, 'embed_dim', 'text_cfg')
        if config['text_cfg'].get('embed_cls'):
            raise InputError(f'{arch!r} has a class token of its own behind the words (CoCa), which is not '
                             "supported; choose a CLIP architecture such as 'ViT-B-16-quickgelu'")
        return config

    def new_parts(self) -> tuple[nn.Module, ...]:
        """The modules that no pretrained file holds."""
        return (self.adapters, )

    def init_weights(self) -> None:
        """Load the pretrained tower, completely or not at all.

        Raises:
            MissingInputError: there is no such file.
            InputError: the file's text tower is of another architecture.
        """
        if self.init_cfg is None:
            return
        state, path = read_clip_weights(self.arch, self.init_cfg['checkpoint'])
        if any(name.startswith('text.') for name in state):
            state = {name.removeprefix('text.'): value for name, value in state.items() if name.startswith('text.')}
        state = {name: value for name, value in state.items() if not name.startswith(('visual.', 'logit_'))}
        # Neither is a weight: the one is open_clip's, the other transformers' of before 4.31.
        load_weights(self.tower, {name: value for name, value in state.items()
                                  if name != 'attn_mask' and not name.endswith('.position_ids')}, source=path)

    def tokenize(self, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Turn expressions into token ids.

        Args:
            texts: B expressions.

        Returns:
            Token ids, int64 (B, L), and the mask of real tokens, bool (B, L); L is ``num_tokens``.

        Raises:
            InputError: an expression is endless.
        """
        rows = [self._encode(text) for text in texts]
        lengths = torch.tensor([len(row) for row in rows])
        pad = self.tokenizer.pad_id if isinstance(self.tokenizer, HuggingFaceTokenizer) else self.tower.pad_id
        ids = torch.tensor([row + [pad] * (self.num_tokens - len(row)) for row in rows])
        return ids, torch.arange(self.num_tokens) < lengths[:, None]

    def _encode(self, text: str) -> list[int]:
        if text not in self._ids:
            check_expression(text, 'OpenCLIPTextEncoder')
            if isinstance(self.tokenizer, HuggingFaceTokenizer):
                return self._remember(text, self.tokenizer.encode(text))
            words = self.tokenizer.encode(text)
            room = self.num_tokens - 2
            if len(words) > room and not self._has_warned:
                self._has_warned = True
                print_log(
                    f'An expression of {len(words)} tokens is cut to {room} (num_tokens={self.num_tokens}, start and '
                    f'end included); this is said once per run: {text[:80]!r}',
                    logger='current',
                    level=30)
            self._remember(text, [self.tokenizer.sot_token_id, *words[:room], self.tokenizer.eot_token_id])
        return self._ids[text]

    def _remember(self, text: str, ids: list[int]) -> list[int]:
        if len(self._ids) >= _REMEMBERED:
            del self._ids[next(iter(self._ids))]
        self._ids[text] = ids
        return ids

    def forward(self, token_ids: Tensor, token_mask: Tensor) -> TextFeatures:
        """Encode tokenised expressions.

        Args:
            token_ids: int64 (B, L).
            token_mask: bool (B, L), True for real tokens.
        """
        tower = self.tower
        if not self.is_clips:
            tokens, sentence = hugging_face.encode(tower, token_ids, token_mask)
            return TextFeatures(tokens, token_mask, sentence)
        x, attention_mask = tower._embeds(token_ids)
        if attention_mask is not None:
            attention_mask = attention_mask[..., :x.shape[1], :x.shape[1]]
        for i, block in enumerate(tower.transformer.resblocks):
            if str(i) in self.adapters:
                x = _adapted(block, self.adapters[str(i)], x, attention_mask)
            else:
                x = block(x, attn_mask=attention_mask)
        tokens = tower.ln_final(x)
        sentence = text_global_pool(tokens, token_ids, tower.pool_type, tower.eos_id)
        project = tower.text_projection
        if project is not None:
            sentence = project(sentence) if isinstance(project, nn.Linear) else sentence @ project
        return TextFeatures(tokens, token_mask, sentence)


def _adapted(block: nn.Module, adapter: TextAdapter, x: Tensor, attention_mask: Tensor | None) -> Tensor:
    """One block of open_clip's text transformer with an adapter in parallel to its feed-forward part."""
    x = x + block.ls_1(block.attention(q_x=block.ln_1(x), attn_mask=attention_mask))
    return x + block.ls_2(block.mlp(block.ln_2(x))) + adapter(x)
