import pytest

from mmrefseg.models.layers import check_heads, check_multiple, check_setting, check_size, choose_blocks, is_whole


def test_a_setting_is_refused_unless_it_fits():
    check_setting('speed of Car', 90, True, 'up to 100')
    with pytest.raises(ValueError, match="^speed of Car is '120'; it must be up to 100$"):
        check_setting('speed of Car', '120', False, 'up to 100')


@pytest.mark.parametrize(('value', 'least', 'expected'), [
    (3, 3, True), (2, 3, False), (0, 0, True), (True, 1, False), (False, 0, False), (3.0, 1, False), ('3', 1, False),
    (None, 0, False),
])
def test_whole_numbers(value, least, expected):
    assert is_whole(value, least) is expected


@pytest.mark.parametrize('check', [check_heads, check_multiple])
@pytest.mark.parametrize('value', [0, -4, 4.0, True, '4'])
def test_what_is_no_number_of_heads_or_channels(check, value):
    with pytest.raises(ValueError, match=f'^it is {value!r}; it must be a '):
        check('it', value, 4)


def test_heads_divide_and_widths_are_divided():
    check_heads('it', 4, 12)
    check_multiple('it', 12, 4)
    with pytest.raises(ValueError, match='divides the 4 channels'):
        check_heads('it', 12, 4)
    with pytest.raises(ValueError, match='a multiple of 12'):
        check_multiple('it', 4, 12)


def test_chosen_blocks():
    assert choose_blocks('it', [2, 0], 3) == [2, 0]
    assert choose_blocks('it', (0, -1, -2), 3, from_end=True) == [0, 2, 1]
    assert choose_blocks('it', (), 3) == []


@pytest.mark.parametrize(('indices', 'from_end'), [
    ((3, ), True), ((-4, ), True), ((0, -3), True), ((-1, ), False), ((1, 1), False), ((1.0, ), False), (1, False),
    ('12', False), ({1, 2}, False),
])
def test_impossible_blocks(indices, from_end):
    with pytest.raises(ValueError, match='it must be a list of blocks, 0 to 2.*, each at most once'):
        choose_blocks('it', indices, 3, from_end)


@pytest.mark.parametrize(('size', 'nearest'), [((30, 28), '28 × 28'), ((28, 55), '28 × 56'), ((0, 14), '14 × 14'),
                                               ((-14, 28), '14 × 28'), ((28.5, 28), '28 × 28')])
def test_impossible_sizes(size, nearest):
    check_size('it', 28, 56, 14, 'the reason')
    said = f'^it is {size[0]} × {size[1]} pixels; .* multiples of 14, the reason: {nearest} is the nearest$'
    with pytest.raises(ValueError, match=said):
        check_size('it', *size, 14, 'the reason')
