"""Where a model fails, and in which way."""
from .example_selection import CHOICES, choose_examples
from .expression_facts import Facts, collect_facts
from .failure_classes import RULES, classify_failure
from .report import report_failures

__all__ = ['CHOICES', 'RULES', 'Facts', 'choose_examples', 'classify_failure', 'collect_facts', 'report_failures']
