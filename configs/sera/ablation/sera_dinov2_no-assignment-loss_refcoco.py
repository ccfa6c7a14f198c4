_base_ = '../sera_dinov2_refcoco.py'

model = dict(routing_losses=[loss for loss in _base_.model.routing_losses if loss['type'] != 'AssignmentLoss'])
