"""Answers about any number of images, by any number of processes, which may be killed and go on."""
from .predict_shards import AnswerSettings, predict_shards
from .prediction_tasks import Task, read_expressions, read_tasks
from .shard_folder import ShardFolder

__all__ = ['AnswerSettings', 'ShardFolder', 'Task', 'predict_shards', 'read_expressions', 'read_tasks']
