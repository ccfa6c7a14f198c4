_base_ = [
    '../_base_/models/segvlm.py',
    '../_base_/datasets/phrasecut_416.py',
    '../_base_/schedules/schedule_segvlm.py',
    '../_base_/schedules/batch_64.py',
    '../_base_/default_runtime.py',
]
