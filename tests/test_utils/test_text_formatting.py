from mmrefseg.utils.text_formatting import counted


def test_one_and_several():
    assert [counted(number, 'image') for number in (0, 1, 2)] == ['0 images', '1 image', '2 images']
