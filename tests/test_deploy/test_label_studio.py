"""The adapter for Label Studio, in its documented requests."""
import base64
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import numpy as np
import pytest

pytest.importorskip('fastapi')
httpx = pytest.importorskip('httpx')

from helpers.app_server_thread import running  # noqa: E402
from helpers.stdlib_server_thread import in_background  # noqa: E402

from mmrefseg.datasets.importing.label_studio import decode_brush  # noqa: E402
from mmrefseg.deploy.server.app import create_app  # noqa: E402
from mmrefseg.deploy.server.label_studio import (  # noqa: E402
    add_label_studio,
    encode_brush,
    label_studio_fetch,
    read_tags,
    regions_of,
)
from mmrefseg.deploy.server.limits import Limits  # noqa: E402
from mmrefseg.deploy.server.prometheus_metrics import ServerMetrics  # noqa: E402
from mmrefseg.deploy.server.serve_command import version_of  # noqa: E402
from mmrefseg.errors import FileError, InputError  # noqa: E402
from mmrefseg.structures.mask_formats import mask_to_rle  # noqa: E402

LIMITS = Limits(expressions=3)
CONFIG = '''
<View>
  <Image name="picture" value="$photo"/>
  <TextArea name="ask" toName="picture" value="$asked"/>
  <BrushLabels name="strokes" toName="picture"><Label value="thing"/><Label value="other"/></BrushLabels>
  <TextArea name="said" toName="picture" perRegion="true"/>
</View>'''
MASK = np.zeros((6, 9), bool)
MASK[2:4, 3:7] = True
PNG = cv2.imencode('.png', np.zeros((6, 9, 3), np.uint8))[1].tobytes()


class Asking:
    """Stands for the model."""

    def __init__(self) -> None:
        self.questions = []

    async def answer(self, request, question) -> dict:
        self.questions.append(question)
        return dict(size=[6, 9], threshold=0.5, answers=[
            dict(expression=text, score=0.75, box=[3, 2, 7, 4], rle=mask_to_rle(MASK & (text != 'nothing')))
            for text in question.expressions])


class Images(BaseHTTPRequestHandler):
    """Stands for Label Studio's files."""

    def do_GET(self) -> None:
        if self.path == '/elsewhere':
            self.send_response(302)
            self.send_header('Location', '/data/a.png')
            self.end_headers()
            return
        self.send_response(200 if self.headers['Authorization'] == 'Token secret' else 401)
        self.end_headers()
        self.wfile.write(PNG)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope='module')
def label_studio():
    server = HTTPServer(('127.0.0.1', 0), Images)
    with in_background(server):
        yield f'http://127.0.0.1:{server.server_port}'


@pytest.fixture
def client(label_studio):
    app = create_app(None, LIMITS, ServerMetrics())
    asking = app.state.asking = Asking()
    add_label_studio(app, LIMITS, label_studio_fetch(label_studio, 'secret', LIMITS, None), 'tiny 0a1b')
    with running(app) as address, httpx.Client(base_url=address) as client:
        client.questions = asking.questions
        yield client


def predict(client, *tasks: dict, **more) -> list[dict]:
    body = dict(tasks=[dict(id=7 + i, data=data) for i, data in enumerate(tasks)], label_config=CONFIG, project='1.2',
                model_version=None, **more)
    response = client.post('/predict', json=body)
    assert response.status_code == 200, response.text
    assert response.json()['model_version'] == client.post('/setup', json={}).json()['model_version'] == 'tiny 0a1b'
    return response.json()['results']


def test_a_task(client):
    [result] = predict(client, dict(photo='/data/upload/1/a.png', asked='the left cup'))
    [question] = client.questions
    assert question.image == PNG and question.expressions == ['the left cup']
    brush, text = result['result']
    assert (brush['from_name'], brush['to_name'], brush['type']) == ('strokes', 'picture', 'brushlabels')
    assert (brush['original_width'], brush['original_height'], brush['score']) == (9, 6, 0.75)
    assert brush['value']['format'] == 'rle' and brush['value']['brushlabels'] == ['thing']
    assert (decode_brush(brush['value']['rle'], 6, 9, '') == MASK).all()
    assert text['id'] == brush['id'] and text['from_name'] == 'said' and text['value'] == {'text': ['the left cup']}
    assert result['score'] == 0.75


def test_what_the_annotator_types_goes_before_the_task(client):
    context = dict(result=[dict(type='textarea', from_name='ask', value=dict(text=['the dog', 'the cat']))])
    data = 'data:image/png;base64,' + base64.b64encode(PNG).decode()
    predict(client, dict(photo=data, asked='the cup'), params=dict(context=context))
    assert client.questions[0].expressions == ['the dog', 'the cat'] and client.questions[0].image == PNG


def test_what_cannot_be_answered_is_said_beside_its_task(client, label_studio):
    data = dict(asked='the cup')
    results = predict(
        client, dict(photo='/data/a.png'), dict(data, photo='http://127.0.0.1:1/a.png'),
        dict(data, photo='file:///etc/passwd'), dict(data, photo='//127.0.0.1:1/a'), dict(data), 'text',
        dict(data, photo=f'{label_studio}/elsewhere'), dict(photo='/data/a.png', asked=['a', 'b', 'c', 'd']),
        dict(photo='/data/a.png', asked='nothing'))
    assert [result['result'] for result in results] == [[]] * 9 and len(client.questions) == 1
    said = [result.get('error') for result in results]
    assert said[0] is None and all('neither in the task nor' in error for error in said[1:4])
    assert 'has no image' in said[4] and said[5] is None and '302' in said[6] and 'at most 3' in said[7]


@pytest.mark.parametrize(('body', 'status'), [
    (dict(tasks=3), 422), (dict(tasks=[3]), 422), (dict(tasks=[]), 422), (dict(tasks=[], label_config='<a'), 422),
    (dict(tasks=[], label_config='<View/>'), 422), (dict(tasks=[{}] * 65), 413),
    (dict(tasks=[], label_config='<!DOCTYPE a [<!ENTITY b "c">]>' + CONFIG), 422), ([], 400),
])
def test_damaged_requests(client, body, status):
    assert client.post('/predict', json=body).status_code == status


def test_setup_and_health(client):
    answer = client.post('/setup', json=dict(project='1', schema=CONFIG, hostname='http://a', access_token='t'))
    assert answer.status_code == 200 and answer.json() == {'model_version': 'tiny 0a1b'}
    assert client.post('/setup', json={}).status_code == 200
    assert client.post('/webhook', json=dict(action='START_TRAINING')).status_code == 200


def test_other_weights_are_another_version(tmp_path):
    versions = []
    for content in (b'a', b'b'):
        (tmp_path / 'w.pth').write_bytes(content)
        versions.append(version_of('configs/sera/sera_tiny_refshapes.py', str(tmp_path / 'w.pth')))
    assert versions == ['sera_tiny_refshapes ca978112ca1b', 'sera_tiny_refshapes 3e23e8160039']


def test_tags():
    tags = read_tags('<View><!-- <! --><Image name="i" value="$u"/><BrushLabels name="b" toName="i"/></View>')
    assert (tags.brush, tags.label, tags.image, tags.image_field, tags.text) == ('b', 'referent', 'i', 'u', None)


@pytest.mark.parametrize('mask', [
    np.zeros((3, 4)), np.ones((200, 300)), np.eye(7), np.arange(12).reshape(3, 4) % 2,
    np.random.default_rng(0).random((40, 50)) > 0.9, np.arange(80000).reshape(200, 400) < 20000,
], ids=['empty', 'full', 'diagonal', 'stripes', 'dots', 'long'])
def test_brush_strokes_are_those_that_are_imported(mask):
    code = encode_brush(mask)
    assert all(0 <= byte < 256 for byte in code)
    assert (decode_brush(code, *mask.shape, '') == (mask != 0)).all()


def test_brush_strokes_as_label_studio_reads_them():
    """Bit by bit: number of values, size of a value and of lengths; then 4 values of 0 and 8 of 255."""
    header = f'{12:032b}' + f'{7:05b}' + f'{2:04b}{3:04b}{7:04b}{15:04b}'
    runs = ('1', '00', f'{4 - 1:03b}', f'{0:08b}'), ('1', '00', f'{8 - 1:03b}', f'{255:08b}')
    bits = header + ''.join(map(''.join, runs))
    code = encode_brush(np.array([[0, 1, 1]]))
    assert ''.join(f'{byte:08b}' for byte in code) == bits.ljust(88, '0')


@pytest.mark.parametrize('length', [2, 4, 64, 65, 16384, 16385, 40000])
def test_brush_strokes_of_every_length(length):
    """Read by the rules of the code alone, as Label Studio does, one value after the other."""
    mask = np.arange(length + 3) < length
    bits, place = ''.join(f'{byte:08b}' for byte in encode_brush(mask[None])), 0

    def take(count: int) -> int:
        nonlocal place
        place += count
        return int(bits[place - count:place], 2)

    number, width, sizes, values = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)], []
    while len(values) < number:
        is_run, count = take(1), take(sizes[take(2)]) + 1
        values += [take(width)] * count if is_run else [take(width) for _ in range(count)]
    assert values == np.repeat(255 * mask, 4).tolist()


def test_without_an_address_of_label_studio():
    fetch = label_studio_fetch(None, None, LIMITS, None)
    with pytest.raises(InputError, match='name its address with --label-studio'):
        fetch('/data/a.png')


def test_its_token_is_needed(label_studio):
    with pytest.raises(FileError, match='401'):
        label_studio_fetch(label_studio, None, LIMITS, None)('/data/a.png')


@pytest.mark.parametrize('name', ['strokes', 'thing', 'picture', 'said'])
def test_names_stand_in_every_region(name):
    """One of a megabyte would stand in each of thousands."""
    tags = read_tags(CONFIG)
    with pytest.raises(InputError, match='names of more than 200 characters'):
        read_tags(CONFIG.replace(name, name * 100))
    content = dict(size=[6, 9], answers=[dict(expression='x', score=0.5, rle=mask_to_rle(MASK))])
    for number, expected in ((17, '17'), ('x' * 10**6, 'x' * 200), ([1] * 10**6, '')):
        assert {region['id'] for region in regions_of(content, tags, number)} == {f'mmrefseg-{expected}-0'}
