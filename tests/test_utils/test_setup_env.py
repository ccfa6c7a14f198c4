import pytest
from mmengine.registry import DefaultScope

import mmrefseg
from mmrefseg import registry


@pytest.fixture
def other_scope():
    with DefaultScope.overwrite_default_scope('mmengine'):
        yield


def test_everything_is_registered():
    mmrefseg.register_all_modules(init_default_scope=False)
    assert registry.METRICS.module_dict['ReferringIoUMetric']
    assert {'AtomicCheckpointHook', 'LoadCheckpointHook', 'RoutingLogHook'} <= registry.HOOKS.module_dict.keys()
    assert registry.DATASETS.module_dict['RefCOCODataset']
    assert registry.MODELS.module_dict['ReferringSegmentor']


def test_default_scope(other_scope):
    mmrefseg.register_all_modules(init_default_scope=False)
    assert DefaultScope.get_current_instance().scope_name == 'mmengine'
    mmrefseg.register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'mmrefseg'
