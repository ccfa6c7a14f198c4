"""Text towers and tokenizers of Hugging Face's transformers, as open_clip's multilingual models have them."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from open_clip.tokenizer import HFTokenizer
from torch import Tensor, nn

from mmrefseg.errors import InputError, MissingInputError, MissingPackageError

_CLIPS_VOCABULARY = 49408
_FEWEST = 0.9  # some vocabularies are rounded up, that of CLIPA from 30,522 to 32,000

# Others reach transformers, which runs the code of a repository if it is told to, and writes where it is told to.
_TOKENIZER_SETTINGS = frozenset(('clean', 'strip_sep_token', 'language', 'tokenizer_mode'))


@contextmanager
def from_hub(what: str) -> Iterator[None]:
    """Say what is missing, and how to get it, where transformers finds no such files.

    Args:
        what: what is read, for the message.

    Raises:
        MissingInputError: it is not here, and cannot be downloaded.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise MissingInputError(f'{what} cannot be had: {str(error).rstrip(".")}. Name a folder that holds it, or let '
                                'this machine reach the Hugging Face hub once') from error


def check_names(text_cfg: Mapping[str, Any], arch: str | Mapping[str, Any]) -> bool:
    """Whether the tokenizer is one of Hugging Face.

    Args:
        text_cfg: open_clip's config of the text tower.
        arch: the architecture, for messages.

    Raises:
        InputError: a tower of Hugging Face, or one of another vocabulary than CLIP's, names no tokenizer; or a name is
            blank: CLIP's tokenizer would then number its words otherwise, and nobody would notice; or the tokenizer has
            settings that are not of open_clip's own.
        MissingPackageError: transformers is not installed.
    """
    for key in ('hf_model_name', 'hf_tokenizer_name'):
        name = text_cfg.get(key)
        if name is not None and (not isinstance(name, str) or not name.strip()):
            raise InputError(f'{key} of {arch!r} is {name!r}; it must be a name on the Hugging Face hub, or a folder')
    settings = text_cfg.get('tokenizer_kwargs') or {}
    if not isinstance(settings, Mapping) or not settings.keys() <= _TOKENIZER_SETTINGS:
        raise InputError(f'tokenizer_kwargs of {arch!r} is {settings!r}; its settings are '
                         f'{", ".join(sorted(_TOKENIZER_SETTINGS))}')
    tokenizer = text_cfg.get('hf_tokenizer_name')
    if tokenizer is None:
        vocabulary = text_cfg.get('vocab_size', _CLIPS_VOCABULARY)
        if text_cfg.get('hf_model_name') or (isinstance(vocabulary, int) and vocabulary > _CLIPS_VOCABULARY):
            raise InputError(f"{arch!r} names no tokenizer: set hf_tokenizer_name of its text_cfg. CLIP's own has "
                             f'{_CLIPS_VOCABULARY} tokens, and numbers them otherwise')
        return False
    if find_spec('transformers') is None:
        raise MissingPackageError(f'{arch!r} takes its tokenizer {tokenizer!r} from transformers, which is not '
                                  'installed: pip install "mmrefseg[languages]"')
    return True


def refuse_programs(name: str) -> None:
    """Refuse a tower that is a program of its repository; open_clip would leave it to transformers to ask the user.

    Args:
        name: of the tower, on the hub or a folder.

    Raises:
        OSError: there is no such tower.
        ValueError: it is a program.
    """
    from transformers import AutoConfig
    AutoConfig.from_pretrained(name, trust_remote_code=False)


class HuggingFaceTokenizer:
    """open_clip's tokenizer for towers with one of Hugging Face, row by row.

    Args:
        text_cfg: open_clip's config of the text tower.
        num_tokens: tokens per expression, special ones included; longer ones are cut.

    Raises:
        MissingInputError: there is no such tokenizer here, and it cannot be downloaded.
        InputError: it has no token for padding.
    """

    def __init__(self, text_cfg: Mapping[str, Any], num_tokens: int) -> None:
        self.name = text_cfg['hf_tokenizer_name']
        with from_hub(f'the tokenizer {self.name!r}'):
            self._tokenize = HFTokenizer(self.name, num_tokens, trust_remote_code=False,
                                         **(text_cfg.get('tokenizer_kwargs') or {}))
        inner = self._tokenize.tokenizer
        if inner.pad_token_id is None:
            raise InputError(f'the tokenizer {self.name!r} has no token for padding; take the one of the tower')
        self.pad_id, self.size = int(inner.pad_token_id), len(inner)

    def encode(self, text: str) -> list[int]:
        """Token ids with special ones, without padding.

        Args:
            text: an expression.
        """
        row = self._tokenize([text])[0].tolist()
        while len(row) > 1 and row[-1] == self.pad_id:
            row.pop()
        return row


def check_tokenizer(tokenizer: HuggingFaceTokenizer, tower: nn.Module) -> None:
    """Refuse a tokenizer that is not the tower's.

    Args:
        tokenizer: the tokenizer.
        tower: the text tower, of open_clip or transformers.

    Raises:
        InputError: it has more tokens than the tower or far fewer, or pads with another one.
    """
    size = tower.vocab_size
    if not _FEWEST * size <= tokenizer.size <= size:
        raise InputError(f"the tokenizer {tokenizer.name!r} has {tokenizer.size} tokens, the tower {size}; take the "
                         "tower's own")
    pad = tower.config.pad_token_id if hasattr(tower, 'config') else tower.pad_id
    if hasattr(tower, 'config') and pad != tokenizer.pad_id:
        raise InputError(f"the tokenizer {tokenizer.name!r} pads with {tokenizer.pad_id}, the tower with {pad}; take "
                         "the tower's own")


def encode(tower: nn.Module, token_ids: Tensor, token_mask: Tensor) -> tuple[Tensor, Tensor]:
    """Features of a tower of transformers: words (B, L, C) and sentences (B, D).

    Args:
        tower: open_clip's ``HFTextEncoder``.
        token_ids: int64 (B, L).
        token_mask: bool (B, L), True for real tokens.
    """
    attended = token_mask.long()
    out = tower.transformer(input_ids=token_ids, attention_mask=attended)
    return out.last_hidden_state, tower.proj(tower.pooler(out, attended))
