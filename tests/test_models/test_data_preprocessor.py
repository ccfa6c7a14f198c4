import pytest
import torch

from mmrefseg.errors import InputError, UserError
from mmrefseg.models import ReferringDataPreProcessor


@pytest.fixture
def preprocessor():
    preprocessor = ReferringDataPreProcessor()
    preprocessor.tokenize = lambda texts: (
        torch.tensor([[len(text), 0] for text in texts]), torch.tensor([[True, False] for _ in texts]))
    return preprocessor


def test_clips_mean_and_deviation(preprocessor, make_batch):
    data = make_batch(('a', 'bc'), size=6)
    raw = torch.stack(data['inputs']).double() / 255
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    expected = torch.stack([(raw[:, c] - mean[c]) / std[c] for c in range(3)], dim=1).float()
    inputs = preprocessor(data)['inputs']
    assert inputs.dtype == torch.float32
    torch.testing.assert_close(inputs, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('training', [True, False])
def test_what_the_model_gets(preprocessor, make_batch, training):
    data = make_batch(('a', 'bc'), size=6)
    samples = list(data['data_samples'])
    prepared = preprocessor(data, training)
    assert set(prepared) == {'inputs', 'token_ids', 'token_mask', 'data_samples'}
    assert prepared['token_ids'].tolist() == [[1, 0], [2, 0]]
    assert prepared['token_mask'].tolist() == [[True, False]] * 2
    assert [sample.text for sample in prepared['data_samples']] == ['a', 'bc']
    assert all(torch.equal(new.gt_sem_seg.data, old.gt_sem_seg.data)
               for new, old in zip(prepared['data_samples'], samples, strict=True))


def test_own_mean_and_deviation(make_batch):
    preprocessor = ReferringDataPreProcessor(mean=(1, 2, 3), std=(2, 4, 8))
    preprocessor.tokenize = lambda texts: (torch.zeros(1, 2), torch.zeros(1, 2))
    data = make_batch(('a', ), size=3)
    data['inputs'][0][:] = 11
    inputs = preprocessor(data)['inputs']
    assert inputs[0, :, 0, 0].tolist() == [5, 2.25, 1]


def test_everything_goes_to_the_device(preprocessor, make_batch):
    prepared = preprocessor.to('meta')(make_batch(('a', ), size=3))
    assert {prepared[key].device.type for key in ('inputs', 'token_ids', 'token_mask')} == {'meta'}


def test_alone_it_asks_for_a_tokenizer(make_batch):
    with pytest.raises(InputError, match=r'set `preprocessor\.tokenize = text_encoder\.tokenize`'):
        ReferringDataPreProcessor()(make_batch())


@pytest.mark.parametrize('settings', [dict(std=(0, 1, 1)), dict(mean=(1, 2)), dict(std=None), dict(mean=(1, 2, '3'))])
def test_means_and_deviations_that_no_image_has(settings):
    with pytest.raises(UserError, match='(mean|std) (of ReferringDataPreProcessor )?is'):
        ReferringDataPreProcessor(**settings)


@pytest.mark.parametrize('stacked', [False, True])
def test_equal_images_of_one_file_are_shared_in_training(make_batch, stacked):
    """Of four samples of file a one was changed by a random transform; file b looks like a."""
    preprocessor = ReferringDataPreProcessor(share_in_training=True)
    preprocessor.tokenize = lambda texts: (torch.zeros(len(texts), 2), torch.zeros(len(texts), 2))
    data = make_batch(tuple('vwxyz'), size=6)
    images = [data['inputs'][0].clone() for _ in range(5)]
    images[2] += 1
    for sample, name in zip(data['data_samples'], 'aaaba', strict=True):
        sample.set_metainfo(dict(img_path=name))
    data['inputs'] = torch.stack(images) if stacked else images
    prepared = preprocessor(data, training=True)
    assert prepared['image_index'].tolist() == [0, 0, 1, 2, 0]
    own = ReferringDataPreProcessor()
    own.tokenize = preprocessor.tokenize
    torch.testing.assert_close(prepared['inputs'][prepared['image_index']], own(data, training=True)['inputs'])
    assert len(prepared['inputs']) == 3
