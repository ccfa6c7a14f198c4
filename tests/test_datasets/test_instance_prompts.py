import numpy as np
import pytest

from mmrefseg.datasets.instance_prompts import Instance, make_prompt


def instance(x, y, size, crowd=False):
    return Instance('dog', x, y, size, crowd, {})


@pytest.mark.parametrize('x, y, size, text, kind', [
    (0.5, 0.5, 0.3, 'the large dog in the middle', 'location'),
    (0.1, 0.5, 0.3, 'the large dog on the left', 'location'),
    (0.9, 0.5, 0.1, 'the dog on the right', 'location'),
    (0.5, 0.1, 0.01, 'the small dog at the top', 'location'),
    (0.5, 0.9, 0.1, 'the dog at the bottom', 'location'),
    (0.1, 0.1, 0.1, 'the dog at the top left', 'location'),
    (0.9, 0.1, 0.1, 'the dog at the top right', 'location'),
    (0.1, 0.9, 0.1, 'the dog at the bottom left', 'location'),
    (0.9, 0.9, 0.1, 'the dog at the bottom right', 'location'),
    (0.37, 0.5, 0.1, 'the dog', 'attribute'),
    (0.37, 0.37, 0.01, 'the small dog', 'attribute'),
    (0.37, 0.1, 0.1, 'the dog at the top', 'location'),
    (1 / 3, 0.5, 0.15, 'the large dog on the left', 'location'),
    (0.6, 0.4, 0.02, 'the small dog in the middle', 'location'),
])
def test_all_that_is_clear_is_said(x, y, size, text, kind):
    assert make_prompt(instance(x, y, size), []) == (text, kind)


@pytest.mark.parametrize('x, y, size, alone', [
    (0.9, 0.5, 0.2, True),  # on the other side
    (0.46, 0.5, 0.2, True),
    (0.44, 0.5, 0.2, False),  # nobody would call it the right one, but perhaps the left one
    (0.1, 0.9, 0.2, False),  # at the bottom and on the left
    (0.1, 0.5, 0.09, False),  # some would call it large
    (0.1, 0.5, 0.07, True),
])
def test_another_of_the_category_must_not_fit(x, y, size, alone):
    prompt = make_prompt(instance(0.1, 0.5, 0.3), [instance(0.8, 0.5, 0.3), instance(x, y, size)])
    assert prompt == (('the large dog on the left', 'location') if alone else None)


def test_nothing_to_say_beside_another():
    assert make_prompt(instance(0.37, 0.37, 0.1), [instance(0.9, 0.9, 0.1)]) is None


def test_beside_a_crowd():
    assert make_prompt(instance(0.1, 0.1, 0.1), [instance(0.9, 0.9, 0.1, crowd=True)]) is None


def fits(text, other):
    """Whether a reader of some good will takes a text for an instance; written apart from the code under test."""
    tests = {
        'large': other.size >= 0.08, 'small': other.size <= 0.04, 'left': other.x <= 0.45, 'right': other.x >= 0.55,
        'top': other.y <= 0.45, 'bottom': other.y >= 0.55,
        'middle': 0.3 <= other.x <= 0.7 and 0.3 <= other.y <= 0.7}
    return all(tests[word] for word in text.split() if word in tests)


def test_prompts_fit_one_instance_alone():
    rng = np.random.default_rng(0)
    given = 0
    for _ in range(300):
        instances = [instance(*rng.random(2), rng.random() ** 4) for _ in range(rng.integers(1, 6))]
        for index, one in enumerate(instances):
            others = instances[:index] + instances[index + 1:]
            prompt = make_prompt(one, others)
            given += prompt is not None
            alone = make_prompt(one, [])
            assert prompt in (alone, None)
            assert fits(alone[0], one)
            assert (prompt is None) == any(fits(alone[0], other) for other in others)
    assert given > 100
