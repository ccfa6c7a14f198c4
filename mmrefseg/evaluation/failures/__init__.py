"""Where a model fails, and in which way."""
from .classes import RULES, classify_failure
from .examples import CHOICES, choose_examples
from .facts import Facts, collect_facts
from .report import report_failures

__all__ = ['CHOICES', 'RULES', 'Facts', 'choose_examples', 'classify_failure', 'collect_facts', 'report_failures']
