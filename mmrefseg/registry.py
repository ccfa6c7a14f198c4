"""Registry nodes of mmrefseg (scope ``mmrefseg``); each is a child of MMEngine's root node of the same kind.

A node imports its ``locations`` when a type is first looked up, so a config that only says
``default_scope='mmrefseg'`` finds every part without an import of its own.
"""
from typing import Any

import mmengine.registry as root
from mmengine.registry import Registry, build_model_from_cfg

from mmrefseg.utils.requirements import check_importable


def _node(name: str, parent: Registry, *locations: str, **settings: Any) -> Registry:
    return Registry(name, parent=parent, scope='mmrefseg', locations=[f'mmrefseg.{place}' for place in locations],
                    **settings)


def _build_model(cfg: Any, registry: Registry, default_args: Any = None) -> Any:
    check_importable(cfg)
    return build_model_from_cfg(cfg, registry, default_args)


RUNNERS = _node('runner', root.RUNNERS)
RUNNER_CONSTRUCTORS = _node('runner constructor', root.RUNNER_CONSTRUCTORS)
STRATEGIES = _node('strategy', root.STRATEGIES)
LOOPS = _node('loop', root.LOOPS)
HOOKS = _node('hook', root.HOOKS, 'engine')
LOG_PROCESSORS = _node('log processor', root.LOG_PROCESSORS)

DATASETS = _node('dataset', root.DATASETS, 'datasets')
DATA_SAMPLERS = _node('data sampler', root.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _node('transform', root.TRANSFORMS, 'datasets')

MODELS = _node('model', root.MODELS, 'models', build_func=_build_model)
MODEL_WRAPPERS = _node('model wrapper', root.MODEL_WRAPPERS)
WEIGHT_INITIALIZERS = _node('weight initializer', root.WEIGHT_INITIALIZERS)

OPTIMIZERS = _node('optimizer', root.OPTIMIZERS)
OPTIM_WRAPPERS = _node('optim wrapper', root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _node('optim wrapper constructor', root.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _node('parameter scheduler', root.PARAM_SCHEDULERS)

METRICS = _node('metric', root.METRICS, 'evaluation')
EVALUATOR = _node('evaluator', root.EVALUATOR, 'evaluation')
TASK_UTILS = _node('task util', root.TASK_UTILS)
FUNCTIONS = _node('function', root.FUNCTIONS)

VISUALIZERS = _node('visualizer', root.VISUALIZERS, 'visualization')
VISBACKENDS = _node('vis backend', root.VISBACKENDS, 'visualization')
INFERENCERS = _node('inferencer', root.INFERENCERS, 'apis')
