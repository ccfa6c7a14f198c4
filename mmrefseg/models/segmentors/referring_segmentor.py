"""The segmentor: composes text encoder, backbone, neck and decode head."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from mmengine.model import BaseModel
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmrefseg.errors import InputError
from mmrefseg.registry import MODELS
from mmrefseg.structures import RefSegDataSample, masks_by_matrix, masks_by_opencv

from ..layers import Router, RoutingInfo, StepLog, TextFeatures, check_setting
from .image_sharing import Shared, parts_in_row, per_expression, run_with_text, run_without_text, takes_text
from .part_checks import check_classes, check_map_widths, check_methods, check_text_widths

_ROUTING = 'routing/'
_BACK = {'matrix': masks_by_matrix, 'opencv': masks_by_opencv}


def _run(part: nn.Module, x: Tensor | tuple[Tensor, ...],
         text: TextFeatures) -> tuple[tuple[Tensor, ...], tuple[RoutingInfo, ...]]:
    """Call a backbone or neck, ours or a foreign one: the maps, and what was routed on the way."""
    arguments = (x, text) if takes_text(part) else (x, )
    if hasattr(part, 'forward_with_routing'):
        return part.forward_with_routing(*arguments)
    return part(*arguments), ()


def _as_mmseg(sample: RefSegDataSample) -> SegDataSample:
    """The ground truth in the type that mmseg's losses expect."""
    return SegDataSample(gt_sem_seg=PixelData(data=sample.gt_sem_seg.data.long()), metainfo=sample.metainfo)


def _tell_routing(routing: tuple[RoutingInfo, ...], data_samples: list[RefSegDataSample]) -> None:
    """Write into each sample the weights of each router's experts."""
    tables = {info.name: (info.experts, info.weights.tolist()) for info in routing}
    for i, sample in enumerate(data_samples):
        told = {name: dict(zip(experts, weights[i], strict=True)) for name, (experts, weights) in tables.items()}
        sample.set_field(told, 'routing', field_type='metainfo')


@MODELS.register_module()
class ReferringSegmentor(BaseModel):
    """Segments what an expression refers to.

    A backbone, neck or decode head with ``takes_text = True`` also gets the text features; others are called as
    mmseg calls them, so its parts (or mmpretrain's) fit in unchanged.

    Args:
        text_encoder: config of the text encoder.
        backbone: config of the backbone.
        decode_head: config of the decode head.
        neck: config of the neck, or of several in a row: each gets the maps of the one before. Default None.
        routing_losses: configs of losses on each router's decisions; summed over routers. Default ().
        data_preprocessor: config of the data preprocessor. Default None: ``ReferringDataPreProcessor``.
        train_cfg: passed to heads of mmseg. Default None.
        test_cfg: ``threshold``, the probability above which a pixel belongs to the referent (0.35 if not given), and
            ``resampling``, what brings predictions back onto the original image: ``'matrix'`` (if not given), on the
            model's device and in batches, or ``'opencv'``, on the CPU as the references do it, which also undoes
            rotations; and ``routing``, whether predictions tell what the routers decided, for which each expression's
            image is encoded anew (False if not given); also passed to heads of mmseg. ``calibration``, ``temperature``
            and ``shift`` of answers' confidence, is for the inferencer. Default None.
        init_cfg: initialisation config of mmengine. Default None.

    Raises:
        InputError: a part wants text without saying ``takes_text``, the head has no ``loss`` or no ``predict``,
            ``text_channels`` or ``sentence_channels`` of a part is not the width that the text encoder gives,
            ``in_channels`` not the widths of the maps from the part before, the head has more than two classes, or the
            text encoder or the data preprocessor doesn't tokenise.
    """

    def __init__(self,
                 text_encoder: dict,
                 backbone: dict,
                 decode_head: dict,
                 neck: dict | Sequence[dict] | None = None,
                 routing_losses: Sequence[dict] = (),
                 data_preprocessor: dict | None = None,
                 train_cfg: dict | None = None,
                 test_cfg: dict | None = None,
                 init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(MODELS.build(data_preprocessor or dict(type='mmrefseg.ReferringDataPreProcessor')), init_cfg)
        self.text_encoder = MODELS.build(text_encoder)
        self.backbone = MODELS.build(backbone)
        self.neck = MODELS.build(neck) if neck else None
        self.decode_head = MODELS.build(decode_head)
        self.routing_losses = nn.ModuleList(MODELS.build(config) for config in routing_losses)
        self.train_cfg, self.test_cfg = train_cfg, {'threshold': 0.35, 'resampling': 'matrix', **(test_cfg or {})}
        check_setting('test_cfg.resampling of ReferringSegmentor', self.test_cfg['resampling'],
                      self.test_cfg['resampling'] in _BACK, "'matrix' or 'opencv'")
        parts = self._parts()
        check_methods(parts)
        check_text_widths(self.text_encoder, self)
        check_map_widths(parts)
        check_classes(self.decode_head)
        self._hand_over_tokenizer()
        self._name_routers()

    def _parts(self) -> dict[str, nn.Module]:
        """Backbone, each neck, and head, by their names."""
        necks = {'neck': self.neck} if self.neck else {}
        if isinstance(self.neck, nn.Sequential):
            necks = {f'neck.{name}': step for name, step in self.neck.named_children()}
        return {'backbone': self.backbone, **necks, 'decode_head': self.decode_head}

    def _hand_over_tokenizer(self) -> None:
        for name, part in (('text_encoder', self.text_encoder), ('data_preprocessor', self.data_preprocessor)):
            if not hasattr(part, 'tokenize'):
                raise InputError(f"type of {name} is {type(part).__name__}, which has no `tokenize`; it must be one of "
                                 'mmrefseg, or do as OpenCLIPTextEncoder and ReferringDataPreProcessor do')
        self.data_preprocessor.tokenize = self.text_encoder.tokenize

    def _name_routers(self) -> None:
        """Name routers by their places in the model where several of them have one name, as in two necks in a row."""
        routers = {path: module for path, module in self.named_modules() if isinstance(module, Router)}
        times = Counter(router.name for router in routers.values())
        for path, router in routers.items():
            if times[router.name] > 1:
                router.name = path.removesuffix('.router')

    @property
    def experts(self) -> dict[str, tuple[str, ...]]:
        """Names of each router's experts, by its name."""
        return {module.name: module.experts for module in self.modules() if isinstance(module, Router)}

    def _extractors(self) -> list[nn.Module]:
        """What comes before the head, in its order."""
        return [*parts_in_row(self.backbone), *parts_in_row(self.neck)]

    def extract_feat(self, inputs: Tensor, token_ids: Tensor, token_mask: Tensor, image_index: Tensor | None = None
                     ) -> tuple[tuple[Tensor, ...], TextFeatures, tuple[RoutingInfo, ...]]:
        """Maps for the head, text features, and what the routers decided.

        Args:
            inputs: normalised images (I, 3, H, W).
            token_ids: int64 (B, L).
            token_mask: bool (B, L), True for real tokens.
            image_index: int64 (B,), which image belongs to each expression. Default None: I is B, one to one.
        """
        text, parts = self.text_encoder(token_ids, token_mask), self._extractors()
        x, routing = inputs, ()
        if image_index is not None:
            if shares := hasattr(parts[0], 'forward_text_with_routing') and takes_text(parts[0]):
                x = parts[0].forward_image(inputs)
            x = per_expression(x, image_index)
            if shares:
                x, routing = parts.pop(0).forward_text_with_routing(x, text)
        for part in parts:
            x, decided = _run(part, x, text)
            routing += tuple(decided)
        return x, text, routing

    def encode_image(self, inputs: Tensor) -> Shared:
        """All that can be computed of images without a text; see :mod:`.image_sharing` for what a part offers.

        Args:
            inputs: normalised images (I, 3, H, W).

        Returns:
            What :meth:`answer` takes: a tensor or a tuple of tensors, whose first dimension counts images.
        """
        return run_without_text(self._extractors(), inputs)

    def answer(self, shared: Shared, token_ids: Tensor, token_mask: Tensor, image_index: Tensor | None = None,
               data_samples: list[RefSegDataSample] | None = None) -> Tensor:
        """Answer expressions about images that :meth:`encode_image` has seen.

        Args:
            shared: what it gave.
            token_ids: int64 (B, L).
            token_mask: bool (B, L), True for real tokens.
            image_index: int64 (B,), which image belongs to each expression. Default None: one to one.
            data_samples: B samples, for heads of mmseg. Default None.

        Returns:
            Logits (B, 1, h, w).
        """
        maps, text = self._maps_with_text(shared, token_ids, token_mask, image_index)
        return self._head_predict(maps, text, data_samples)

    def _maps_with_text(self, shared: Shared, token_ids: Tensor, token_mask: Tensor,
                        image_index: Tensor | None) -> tuple[tuple[Tensor, ...], TextFeatures]:
        text = self.text_encoder(token_ids, token_mask)
        shared = shared if image_index is None else per_expression(shared, image_index)
        return run_with_text(self._extractors(), shared, text), text

    def forward(self,
                inputs: Tensor,
                data_samples: list[RefSegDataSample] | None = None,
                token_ids: Tensor | None = None,
                token_mask: Tensor | None = None,
                image_index: Tensor | None = None,
                mode: str = 'tensor') -> Tensor | dict[str, Tensor] | list[RefSegDataSample]:
        """Run the model on preprocessed data.

        Args:
            inputs: normalised images (I, 3, H, W).
            data_samples: the B samples; needed by all modes but ``tensor``. Default None.
            token_ids: int64 (B, L). Default None.
            token_mask: bool (B, L), True for real tokens. Default None.
            image_index: int64 (B,), which image belongs to each expression; an image of several is then encoded once,
                but for ``loss``. Default None: I is B, one to one.
            mode: ``tensor``, ``loss`` or ``predict``. Default ``tensor``.

        Returns:
            The head's output; a dict of losses, of routing statistics (``routing/`` and the router's name → expert →
            (3, ), see :class:`StepLog`) and ``routing_entropy``, the mean over the routers of
            :meth:`RoutingInfo.entropy`; or the samples with predictions.

        Raises:
            InputError: ``mode`` is none of the three.
        """
        if mode not in ('tensor', 'loss', 'predict'):
            raise InputError(f"mode is {mode!r}; it must be 'tensor', 'loss' or 'predict'")
        if mode == 'loss':
            maps, text, routing = self.extract_feat(inputs, token_ids, token_mask, image_index)
            return {**self._head_loss(maps, text, data_samples), **self._routing_loss(routing)}
        if mode == 'predict' and self.test_cfg.get('routing'):
            maps, text, routing = self.extract_feat(inputs, token_ids, token_mask, image_index)
            _tell_routing(routing, data_samples)
        else:
            maps, text = self._maps_with_text(self.encode_image(inputs), token_ids, token_mask, image_index)
        if mode == 'predict':
            return self._postprocess(self._head_predict(maps, text, data_samples), inputs, data_samples)
        return self.decode_head(maps, text) if takes_text(self.decode_head) else self.decode_head(maps)

    def _head_loss(self, maps: tuple[Tensor, ...], text: TextFeatures,
                   data_samples: list[RefSegDataSample]) -> dict[str, Tensor]:
        if takes_text(self.decode_head):
            losses = self.decode_head.loss(maps, text, data_samples)
        else:
            losses = self.decode_head.loss(maps, [_as_mmseg(sample) for sample in data_samples], self.train_cfg)
        return {f'decode.{name}': value for name, value in losses.items()}

    def _routing_loss(self, routing: tuple[RoutingInfo, ...]) -> dict[str, Tensor | dict[str, Tensor]]:
        losses = {f'{_ROUTING}{info.name}': dict(zip(info.experts, info.statistics().unbind(1), strict=True))
                  for info in routing}
        if routing:
            losses |= {loss.loss_name: sum(loss(info) for info in routing) for loss in self.routing_losses}
        if entropies := [info.entropy() for info in routing if len(info.experts) > 1]:
            losses['routing_entropy'] = torch.stack(entropies).mean()
        return losses

    def parse_losses(self, losses: dict[str, Tensor | dict[str, Tensor]]) -> tuple[Tensor, StepLog]:
        """Sum the losses, as mmengine does, and take the routing statistics out of them.

        Args:
            losses: what :meth:`forward` gave in ``loss`` mode.

        Returns:
            The sum, and what is logged: each loss, and the routing statistics beside them.
        """
        routing = {name: value for name, value in losses.items() if name.startswith(_ROUTING)}
        total, log = super().parse_losses({name: value for name, value in losses.items() if name not in routing})
        return total, StepLog(log, {name.removeprefix(_ROUTING): value for name, value in routing.items()})

    def _head_predict(self, maps: tuple[Tensor, ...], text: TextFeatures,
                      data_samples: list[RefSegDataSample]) -> Tensor:
        """Logits (B, 1, h, w); a head with two classes gives the second's lead over the first."""
        if takes_text(self.decode_head):
            logits = self.decode_head.predict(maps, text)
        else:
            metas = [sample.metainfo for sample in data_samples]
            logits = self.decode_head.predict(maps, metas, self.test_cfg)
        check_setting('the number of channels that decode_head gives', logits.shape[1], logits.shape[1] in (1, 2),
                      '1, or 2 for background and referent')
        return logits if logits.shape[1] == 1 else logits[:, 1:2] - logits[:, 0:1]

    @torch.compiler.disable  # at the forward pass's end, as each new size of image would compile all of it anew
    def _postprocess(self, logits: Tensor, inputs: Tensor,
                     data_samples: list[RefSegDataSample]) -> list[RefSegDataSample]:
        """Write each sample's logits and its mask at original size."""
        logits = logits.float()
        back = _BACK[self.test_cfg['resampling']]
        geometry = [sample.ori_shape[:2] for sample in data_samples], [sample.warp_matrix for sample in data_samples]
        masks = back(logits[:, 0], inputs.shape[-2:], *geometry, self.test_cfg['threshold'])
        for sample, sample_logits, mask in zip(data_samples, logits, masks, strict=True):
            sample.set_field(self.test_cfg['threshold'], 'threshold', field_type='metainfo')
            sample.seg_logits = PixelData(data=sample_logits)
            sample.pred_sem_seg = PixelData(data=mask[None].view(torch.uint8))
        return data_samples
