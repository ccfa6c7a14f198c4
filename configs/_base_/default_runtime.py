default_scope = 'mmrefseg'

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

# A config that inherits them leaves any out by None, for our tools: default_hooks = dict(check_setup=None).
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=3, save_best='mIoU', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    load_checkpoint=dict(type='LoadCheckpointHook'),
    check_setup=dict(type='CheckSetupHook'),
    check_losses=dict(type='CheckLossesHook'),
    broadcast_buffers=dict(type='BroadcastBuffersHook'),
    parameter_summary=dict(type='ParameterSummaryHook'),
    routing_log=dict(type='RoutingLogHook'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='ReferringVisualizer', vis_backends=vis_backends, name='visualizer')
log_level = 'INFO'
load_from = None
resume = False
