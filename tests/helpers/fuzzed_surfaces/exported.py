"""Exported folders, read by the stand-alone code and by the inferencer."""
from __future__ import annotations

import hashlib
import json
from pathlib import Path

from helpers.exported_folders import IMAGE, folder_of, maps

from mmrefseg.apis.export.refseg_onnx import Model, RefSegError
from mmrefseg.apis.inference.model_loading import identity_of, load_inferencer
from mmrefseg.errors import InputError, UserError

from .damaged_files import Attempt, damaged

_TEXTS = ['ab x', "it's 7 \u00c3\u00a9t\u00c3\u00a9 &amp; <b>"]


def exported(name: str, folder: Path) -> Attempt:
    """Both readers end in the same way; the notes tell the SHA-256 of the damaged file, as somebody evil would."""
    logits = maps(len(_TEXTS), 8, 8)
    content = (folder_of(folder / 'model', logits) / name).read_bytes()

    def attempt(seed):
        root = folder_of(folder / 'model', logits)
        (root / name).write_bytes(damaged(content, name, seed))
        if name != 'refseg.json':
            notes = json.loads((root / 'refseg.json').read_text())
            notes['files'][name] = hashlib.sha256((root / name).read_bytes()).hexdigest()
            (root / 'refseg.json').write_text(json.dumps(notes))
        try:
            identity_of(root)
            ours = [result.mask.shape for result in load_inferencer(root, device='cpu')(IMAGE, _TEXTS)]
        except UserError:
            ours = None
        try:
            alone = [answer.mask.shape for answer in Model(root).answer(IMAGE, _TEXTS)]
        except RefSegError as error:
            assert ours is None, f'the stand-alone code alone refuses it: {error}'
            raise InputError(str(error)) from error
        assert alone == ours == [IMAGE.shape[:2]] * 2, (alone, ours)

    return attempt
