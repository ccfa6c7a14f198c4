"""The server, spoken to over loopback."""
import base64
import json
import os
import signal
import socket
import threading
import time
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('fastapi')
httpx = pytest.importorskip('httpx')

from fastapi import FastAPI  # noqa: E402
from fastapi.responses import StreamingResponse  # noqa: E402
from helpers.app_server_thread import running  # noqa: E402

from mmrefseg.apis import RefSegInferencer  # noqa: E402
from mmrefseg.deploy.server.admission import Holding, Room  # noqa: E402
from mmrefseg.deploy.server.allowed_hosts import AllowedHosts  # noqa: E402
from mmrefseg.deploy.server.app import create_app  # noqa: E402
from mmrefseg.deploy.server.limits import Limits  # noqa: E402
from mmrefseg.deploy.server.prometheus_metrics import ServerMetrics  # noqa: E402
from mmrefseg.deploy.server.question_and_reply import Question, Reply  # noqa: E402
from mmrefseg.deploy.server.run_server import ImpatientProtocol  # noqa: E402
from mmrefseg.deploy.server.serve_command import add_arguments, limits_of  # noqa: E402
from mmrefseg.deploy.server.worker import answer_questions, levels_of  # noqa: E402
from mmrefseg.deploy.server.worker_pool import BusyError, WorkerPool  # noqa: E402
from mmrefseg.errors import InputError, UserError  # noqa: E402
from mmrefseg.structures.mask_formats import rle_to_mask  # noqa: E402

LIMITS = Limits(image_bytes=1 << 16, expressions=4, seconds=30, waiting=40)


def png(seed: int, size: tuple[int, int] = (40, 60)) -> bytes:
    return cv2.imencode('.png', np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8))[1].tobytes()


@pytest.fixture(scope='module')
def ask() -> RefSegInferencer:
    torch.manual_seed(0)
    return RefSegInferencer('sera_tiny_refshapes', None, 'cpu')


def pool_of(ask, metrics=None, **kwargs) -> WorkerPool:
    # Forked, as a fresh interpreter would import everything again.
    return WorkerPool(lambda: ask, metrics or ServerMetrics(), start_method='fork', **kwargs)


@pytest.fixture(scope='module')
def pool(ask):
    with pool_of(ask) as pool:
        yield pool


@pytest.fixture(scope='module')
def server(pool):
    with running(create_app(pool, LIMITS, ServerMetrics(), lambda url: png(3))) as address:
        yield address


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server, timeout=60) as client:
        yield client


def form(image: bytes, *expressions: str, **fields) -> dict:
    return dict(files=dict(image=image), data=dict(expressions=list(expressions), **fields))


def check(answers: list[dict], ask, image: bytes, expressions: list[str], threshold=None) -> None:
    """They are those of a single call, but for the last digits, as batches are computed in another order."""
    for answer, result in zip(answers, ask(image, expressions, threshold=threshold), strict=True):
        mask = rle_to_mask(answer['rle'], *result.size)
        assert answer['expression'] == result.expression and (mask != result.mask).mean() < 2e-3
        assert answer['score'] == pytest.approx(result.score, abs=1e-3)


def test_a_form(client, ask):
    answer = client.post('/v1/segment', **form(png(1), 'the cup', 'all', threshold='0.5')).json()
    assert answer['size'] == [40, 60] and answer['threshold'] == 0.5
    check(answer['answers'], ask, png(1), ['the cup', 'all'], 0.5)


def test_json(client, ask):
    body = dict(image=base64.b64encode(png(1)).decode(), expressions='the cup', include=['rle', 'png', 'polygons'])
    [answer] = client.post('/v1/segment', json=body).json()['answers']
    check([answer], ask, png(1), ['the cup'])
    mask = cv2.imdecode(np.frombuffer(base64.b64decode(answer['png']), np.uint8), cv2.IMREAD_UNCHANGED)
    assert (mask == 255 * rle_to_mask(answer['rle'], 40, 60)).all()
    left, top, right, bottom = answer['box']
    corners = np.concatenate([np.reshape(outline, (-1, 2)) for outline in answer['polygons']])
    assert (corners.min(0) == (left, top)).all() and (corners.max(0) == (right - 1, bottom - 1)).all()
    body['image'] = 'data:image/png;base64,' + body['image']
    assert client.post('/v1/segment', json=body).json()['answers'] == [answer]


def test_an_address(client, ask):
    answer = client.post('/v1/segment', json=dict(image_url='http://example.org/a.png', expressions=['all'])).json()
    check(answer['answers'], ask, png(3), ['all'])


def test_routing_and_levels(client, ask):
    [answer] = client.post('/v1/segment', **form(png(1), 'all', include=['levels', 'routing'])).json()['answers']
    assert answer['routing'].keys() == ask.model.experts.keys()
    for router, weights in answer['routing'].items():
        assert tuple(weights) == ask.model.experts[router] and sum(weights.values()) == pytest.approx(1)
    levels = cv2.imdecode(np.frombuffer(base64.b64decode(answer['levels']), np.uint8), cv2.IMREAD_UNCHANGED)
    [result] = ask(png(1), 'all')
    assert ((levels > 70) == result.mask).mean() > 0.998 and 'rle' not in answer


def test_levels_keep_every_step_of_the_threshold():
    steps = (np.arange(201) / 200).astype(np.float32)
    probability = np.concatenate([steps, np.nextafter(steps, 2), np.nextafter(steps, -1).clip(0)])[:, None].clip(0, 1)
    for step in range(200):
        assert ((levels_of(probability) > step) == (probability > step / 200)).all()


@pytest.mark.parametrize(('request_of', 'status', 'detail'), [
    (lambda: form(b'<html>', 'x'), 422, 'no image but a text'),
    (lambda: form(b'P6 99999 99999 255\n123', 'x'), 422, 'may exhaust the memory'),
    (lambda: form(png(1), ' '), 422, 'blank'),
    (lambda: form(png(1), 'x' * 5000), 422, 'characters'),
    (lambda: form(png(1), *'abcde'), 413, 'at most 4'),
    (lambda: form(png(1), *map(str, range(100))), 400, 'Too many fields'),
    (lambda: dict(json=dict(image='', expressions=list(map(str, range(10000))))), 413, '10000 expressions'),
    (lambda: form(png(1)), 422, '`expressions` must be'),
    (lambda: form(png(1), 'x', threshold='nan'), 422, '`threshold` must be'),
    (lambda: form(png(1), 'x', threshold='2'), 422, '`threshold` must be'),
    (lambda: form(png(1), 'x', include='secrets'), 422, '`include` must be of rle'),
    (lambda: form(png(1), 'x', colour='red'), 422, 'unknown fields'),
    (lambda: dict(data=dict(expressions='x')), 415, 'multipart/form-data'),
    (lambda: dict(content=b'not json', headers={'content-type': 'application/json'}), 400, 'no JSON'),
    (lambda: dict(content=b'[' * 60000, headers={'content-type': 'application/json'}), 400, 'no JSON'),
    (lambda: dict(content=b'[1]', headers={'content-type': 'application/json'}), 400, 'must be a JSON object'),
    (lambda: dict(content=b'??', headers={'content-type': 'multipart/form-data; boundary=x'}), 400, ''),
    (lambda: dict(json=dict(image='%%%', expressions='x')), 422, 'base64'),
    (lambda: dict(json=dict(image=3, expressions='x')), 422, 'no file'),
    (lambda: dict(json=dict(image='aa', expressions=[3])), 422, 'must be a string'),
    (lambda: dict(json=dict(image_url='file:///etc/passwd', expressions='x')), 422, 'must begin with http'),
    (lambda: dict(json=dict(image='aa', image_url='http://a', expressions='x')), 422, 'send either'),
    (lambda: dict(json=dict(image='aaaa', expressions='x', threshold=True)), 422, '`threshold` must be'),
    (lambda: form(bytes(1 << 17), 'x'), 413, 'at most 65536'),
    (lambda: form(bytes(1 << 22), 'x'), 413, 'the request is too large'),
    (lambda: dict(content=(bytes(1 << 16) for _ in range(64)), headers={'content-type': 'application/json'}), 413,
     'the request is too large'),
])
def test_mistakes_are_told(client, request_of, status, detail):
    response = client.post('/v1/segment', **request_of())
    assert response.status_code == status and detail in response.json()['detail']


def begin(address: str, length: int) -> socket.socket:
    """A connection on which a request of so many bytes was announced."""
    connection = socket.create_connection(address.removeprefix('http://').split(':'), 10)
    connection.sendall(b'POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n' % length)
    return connection


def test_a_declared_gigabyte_is_not_waited_for(server):
    with begin(server, 1 << 30) as connection:
        connection.sendall(b'abc')
        assert connection.recv(1000).startswith(b'HTTP/1.1 413 ')


def test_who_is_turned_away_may_send_all_before_reading_why(server, pool):
    """An answer is lost where the connection ends while its client still sends."""
    with begin(server, 1 << 25) as connection:
        for _ in range(1 << 9):
            connection.sendall(bytes(1 << 16))
        assert connection.recv(1000).startswith(b'HTTP/1.1 413 ')
    with running(create_app(pool, LIMITS._replace(seconds=0.1), ServerMetrics())) as address, begin(
            address, 1 << 16) as connection:
        for _ in range(4):
            time.sleep(0.1)
            connection.sendall(bytes(1 << 14))
        assert connection.recv(1000).startswith(b'HTTP/1.1 408 ')


def status_of(connection: socket.socket) -> tuple[int, bytes]:
    answer = connection.recv(4000)
    return int(answer.split()[1]), answer.lower()


@pytest.mark.parametrize('chunked', [False, True])
def test_bodies_take_no_more_than_there_is_room_for(pool, chunked):
    """Uploads at the same time: those beyond are told to come again, and may when others have ended."""
    limits = LIMITS._replace(image_bytes=1 << 20, held_bytes=5 << 20)
    body = b'{"image": "", "expressions": "x", "more": "%s"}' % bytes(2 << 20).replace(b'\0', b'a')
    head = b'Transfer-Encoding: chunked' if chunked else b'Content-Length: %d' % len(body)
    whole = b'%x\r\n%s\r\n' % (len(body), body) if chunked else body
    with running(create_app(pool, limits, ServerMetrics())) as address, ExitStack() as stack:
        place = address.removeprefix('http://').split(':')
        uploads = [stack.enter_context(socket.create_connection(place, 10)) for _ in range(3)]
        for upload in uploads:
            upload.sendall(b'POST /v1/segment HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                           b'%s\r\n\r\n%s' % (head, whole[:-10]))
            time.sleep(0.1)
        status, answer = status_of(uploads[-1])
        assert status == 503 and b'retry-after: 2' in answer
        for upload in uploads[:2]:
            upload.sendall(whole[-10:] + (b'0\r\n\r\n' if chunked else b''))
            assert status_of(upload)[0] == 422
        assert httpx.post(f'{address}/v1/segment', content=body,
                          headers={'content-type': 'application/json'}).status_code == 422


def test_fetched_images_take_room_too(pool):
    limits = LIMITS._replace(image_bytes=3 << 20, held_bytes=6 << 20)
    begun, let = threading.Event(), threading.Event()

    def fetch(url):
        begun.set()
        assert let.wait(20)
        return b'x'

    question = dict(image_url='http://a', expressions='x')
    with running(create_app(pool, limits, ServerMetrics(), fetch)) as address, ThreadPoolExecutor(1) as clients:
        first = clients.submit(httpx.post, f'{address}/v1/segment', json=question, timeout=30)
        try:
            assert begun.wait(10)
            refused = httpx.post(f'{address}/v1/segment', json=question)
        finally:
            let.set()
        assert refused.status_code == 503 and refused.headers['retry-after'] == '2'
        assert first.result().status_code == 422
        assert httpx.post(f'{address}/v1/segment', json=question).status_code == 422


def test_what_requests_hold_of_a_room():
    room = Room(10)
    with Holding(room) as first, Holding(room) as second:
        first.hold('body', 6)
        with pytest.raises(Exception, match='busy'):
            second.hold('body', 5)
        second.hold('body', 3)
        second.hold('image', 1)
        first.hold('body', 2)
        second.hold('image', 5)
        assert room.left == 0
    assert room.left == 10


def test_what_is_left_by_its_client_is_forgotten(gate):
    """Otherwise its image would stay beside those that are counted."""
    with pool_of(Slow(gate)) as pool:
        first = pool.submit(Question(b'', ['wait']))
        while pool.waiting:
            time.sleep(0.01)
        left = pool.submit(Question(b'x' * 1000, ['a']))
        [entry] = pool._entries.queue
        had_image = bool(entry.question.image)
        left.cancel()
        gate.touch()
        assert had_image and not hasattr(entry, 'question')
        assert first.result(20).refused


ELSEWHERE = 'http://evil.example'


@pytest.mark.parametrize(('names', 'host', 'origin', 'status'), [
    (AllowedHosts(), 'localhost:8000', None, 415), (AllowedHosts(), '127.0.0.1', None, 415),
    (AllowedHosts(), '[::1]:8000', None, 415), (AllowedHosts(), 'LOCALHOST.', None, 415),
    (AllowedHosts(), 'localhost:8000', 'http://localhost:8000', 415),
    (AllowedHosts(), '[::1]:8000', 'http://[::1]:8000', 415),
    (AllowedHosts(), 'evil.example:8000', None, 400), (AllowedHosts(), '0.0.0.0:8000', None, 400),
    (AllowedHosts(), 'localhost.evil.example', None, 400), (AllowedHosts(), 'evil.example@localhost', None, 400),
    (AllowedHosts(), 'localhost:80@evil.example', None, 400),
    (AllowedHosts(others=['models.example']), 'localhost', 'https://models.example:1@evil.example', 403),
    (AllowedHosts(), '10.0.0.1', None, 400), (AllowedHosts(), '', None, 400), (AllowedHosts(), 'a b', None, 400),
    (AllowedHosts(), 'localhost:8000', ELSEWHERE, 403), (AllowedHosts(), 'localhost:8000', 'null', 403),
    (AllowedHosts(), 'localhost:8000', 'http://localhost:9000', 403),
    (AllowedHosts(), 'localhost:8000', 'http://localhost:8000@evil.example', 403),
    (AllowedHosts('10.0.0.1'), '10.0.0.1:8000', None, 415), (AllowedHosts('10.0.0.1'), '10.0.0.2:8000', None, 400),
    (AllowedHosts('0.0.0.0'), '10.0.0.2:8000', None, 415), (AllowedHosts('::'), '[fd00::1]', None, 415),
    (AllowedHosts('0.0.0.0'), 'evil.example', None, 400),
    (AllowedHosts('0.0.0.0', ['Models.example']), 'models.example', None, 415),
    (AllowedHosts(others=['models.example']), 'localhost:8000', 'https://models.example', 415),
    (AllowedHosts(others=['models.example']), 'localhost:8000', 'https://models.example.evil.example', 403),
])
def test_who_may_ask(pool, names, host, origin, status):
    """Not a page elsewhere, under whatever name it calls this machine; nor may it read."""
    headers = {'host': host, **({'origin': origin} if origin else {})}
    with running(create_app(pool, LIMITS, ServerMetrics(), names=names)) as address:
        answer = httpx.post(f'{address}/v1/segment', headers=headers)
        assert answer.status_code == status and answer.json()['detail']
        assert httpx.get(f'{address}/health', headers=headers).status_code == (400 if status == 400 else 200)


def test_there_is_room_for_one_request_at_least():
    parser = ArgumentParser()
    add_arguments(parser, 0)
    assert limits_of(parser.parse_args(['a'])).held_bytes == 1 << 28
    with pytest.raises(InputError, match='--max-held-mb 256 leaves no room .* it must be at least 401'):
        limits_of(parser.parse_args(['a', '--max-image-mb', '300']))


def test_slow_bodies_and_slow_models_are_given_up(pool):
    with running(create_app(pool, LIMITS._replace(seconds=0.3), ServerMetrics())) as address:
        with begin(address, 100) as connection:
            connection.sendall(b'abc')
            assert connection.recv(1000).startswith(b'HTTP/1.1 408 ')
        assert httpx.post(f'{address}/v1/segment', json=dict(image_url='http://a', expressions='x')).status_code == 403


def test_load(ask):
    """200 requests of 16 clients; a process is killed on the way, and comes back."""
    metrics = ServerMetrics()
    questions = [(png(i % 7, (16 + i % 5, 24)), [f'the {i}', 'all'][:1 + i % 2]) for i in range(200)]
    with pool_of(ask, metrics) as pool, running(create_app(pool, LIMITS, metrics)) as address, httpx.Client(
            base_url=address, timeout=60, limits=httpx.Limits(max_connections=16)) as client, ThreadPoolExecutor(
                16) as clients:
        answers = [clients.submit(client.post, '/v1/segment', **form(image, *texts)) for image, texts in questions]
        answers[50].result()
        [process] = pool.processes
        os.kill(process, signal.SIGKILL)
        answers = [answer.result() for answer in answers]
        assert [answer.status_code for answer in answers] == [200] * 200
        health, counted = client.get('/health').json(), client.get('/metrics').text
        assert pool.processes != [process]
    for (image, texts), answer in list(zip(questions, answers, strict=True))[::9]:
        check(answer.json()['answers'], ask, image, texts)
    assert health['status'] == 'UP' and health['waiting'] == 0
    assert 'mmrefseg_worker_restarts_total 1.0' in counted
    assert 'mmrefseg_requests_total{path="/v1/segment",status="200"} 200.0' in counted
    batches = float(next(line for line in counted.splitlines() if line.startswith('mmrefseg_batch_questions_count')
                         ).split()[1])
    assert batches < 150, 'questions that wait are answered together'


class Slow:
    """Stands for a model: it answers when it is let, and dies or fails of some questions."""

    def __init__(self, gate) -> None:
        self.gate = gate

    def stream(self, pairs, *_, on_error, **__):
        for source, texts in pairs:
            if texts == ['wait']:
                while not self.gate.exists():
                    time.sleep(0.01)
            if texts == ['die']:
                os._exit(1)
            if texts == ['fail']:
                raise RuntimeError('a bug')
            on_error(source, InputError(texts[0]))
        yield from ()


@pytest.fixture
def gate(tmp_path):
    return tmp_path / 'open'


def test_a_question_that_kills_takes_no_other_with_it(gate):
    metrics = ServerMetrics()
    with pool_of(Slow(gate), metrics) as pool:
        first = pool.submit(Question(b'', ['wait']))
        others = [pool.submit(Question(b'', [text])) for text in ('a', 'die', 'b', 'fail', 'c')]
        gate.touch()
        assert first.result(20) == Reply(refused='wait')
        assert [other.result(20) for other in others] == [
            Reply(refused='a'), Reply(broken=True), Reply(refused='b'), Reply(broken=True), Reply(refused='c')]
        assert pool.ready == 1


def test_a_process_that_hangs_is_given_up(gate):
    with pool_of(Slow(gate), seconds=0.3) as pool:
        assert pool.submit(Question(b'', ['wait'])).result(20).broken
        gate.touch()
        assert pool.submit(Question(b'', ['a'])).result(20) == Reply(refused='a')


def test_what_nobody_waits_for_is_not_answered(gate):
    with pool_of(Slow(gate)) as pool:
        first, second = pool.submit(Question(b'', ['wait'])), None
        while pool.waiting:
            time.sleep(0.01)
        second = pool.submit(Question(b'', ['die']))
        assert second.cancel()
        process = pool.processes
        gate.touch()
        assert first.result(20).refused and pool.submit(Question(b'', ['a'])).result(20).refused
        assert pool.processes == process


def test_back_pressure(gate):
    """Questions beyond those that may wait are turned away at once, with a time to come again."""
    limits = LIMITS._replace(waiting=3)
    metrics = ServerMetrics()
    with pool_of(Slow(gate), metrics, waiting=3) as pool, running(
            create_app(pool, limits, metrics)) as address, ThreadPoolExecutor(4) as clients:
        answers = [clients.submit(httpx.post, f'{address}/v1/segment', timeout=30, **form(b'x', 'wait'))
                   for _ in range(4)]
        response = next(as_completed(answers)).result()
        assert response.status_code == 503 and int(response.headers['retry-after']) > 0
        assert httpx.get(f'{address}/health').status_code == 200
        gate.touch()
        assert sorted(answer.result().status_code for answer in answers) == [422, 422, 422, 503]
        assert httpx.post(f'{address}/v1/segment', **form(b'x', 'a')).status_code == 422
    pool = pool_of(Slow(gate), waiting=1)
    pool.submit(Question(b'', ['a']))
    with pytest.raises(BusyError):
        pool.submit(Question(b'', ['a']))


def test_a_client_that_hangs_up_gives_its_place_back(gate):
    limits = LIMITS._replace(waiting=1)
    with pool_of(Slow(gate)) as pool, running(create_app(pool, limits, ServerMetrics())) as address:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f'{address}/v1/segment', timeout=httpx.Timeout(10, read=0.2), **form(b'x', 'wait'))
        gate.touch()
        deadline = time.monotonic() + 20
        while httpx.post(f'{address}/v1/segment', **form(b'x', 'a')).status_code == 503:
            assert time.monotonic() < deadline


def test_a_stop_answers_what_is_on_the_way(gate):
    metrics = ServerMetrics()
    with pool_of(Slow(gate), metrics) as pool, ThreadPoolExecutor(1) as clients:
        with running(create_app(pool, LIMITS, metrics)) as address:
            answer = clients.submit(httpx.post, f'{address}/v1/segment', timeout=30, **form(b'x', 'wait'))
            while 'mmrefseg_batch_questions_count 0.0' in httpx.get(f'{address}/metrics').text:
                time.sleep(0.01)
            threading.Timer(0.2, gate.touch).start()
        assert answer.result().status_code == 422
    assert not pool.processes
    with pytest.raises(BusyError):
        pool.submit(Question(b'', ['a']))


def test_a_model_that_cannot_be_loaded():

    def load():
        raise InputError('no such weights')

    pool = WorkerPool(load, ServerMetrics(), start_method='fork')
    with pytest.raises(UserError, match='no such weights'), pool:
        pass
    assert not pool.processes
    pool = WorkerPool(lambda: os._exit(3), ServerMetrics(), start_method='fork')
    with pytest.raises(UserError, match='died'), pool:
        pass


def test_the_interface_is_described(client):
    described = client.get('/openapi.json').json()
    bodies = described['paths']['/v1/segment']['post']['requestBody']['content']
    assert bodies.keys() == {'multipart/form-data', 'application/json'}
    assert json.dumps(described) and client.get('/nowhere').status_code == 404
    assert client.get('/v1/segment').status_code == 405


@pytest.mark.parametrize('fields', [('expressions', ), ('expressions', 'expressions'), ('include', 'expressions'),
                                    ('include', 'include', 'expressions')])
def test_files_in_the_place_of_texts(client, fields):
    """The first one is a file."""
    parts = [(name, (None if place else 'a.txt', b'rle')) for place, name in enumerate(fields)]
    response = client.post('/v1/segment', files=parts, data=dict(image='aaaa'))
    assert response.status_code == 422, response.text


@pytest.mark.parametrize('charset', ['charset=undefined', 'charset=punycode', 'CHARSET="Punycode"', 'charset=hex',
                                     'charset=utf-8; charset=punycode', "charset*=utf-8''punycode"])
def test_a_form_in_another_encoding(client, charset):
    """Python decodes a megabyte of Punycode in half an hour, in which the server would answer nobody."""
    body = b'--x\r\nContent-Disposition: form-data; name="\xe4"\r\n\r\nabc\r\n--x--\r\n'
    response = client.post('/v1/segment', content=body,
                           headers={'content-type': f'multipart/form-data; boundary=x; {charset}'})
    assert response.status_code == 400 and 'send UTF-8' in response.json()['detail']


@pytest.mark.parametrize('charset', ['charset=utf-8', 'charset="UTF-8"; a=b', 'Charset=utf8 '])
def test_a_form_that_says_its_encoding(client, charset):
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n'
    response = client.post('/v1/segment', content=body,
                           headers={'content-type': f'multipart/form-data; boundary=x; {charset}'})
    assert response.json()['detail'].startswith("unknown fields ['a']")


def test_no_image_and_no_address(client):
    for image in ({}, dict(image=None), dict(image=None, image_url=None)):
        response = client.post('/v1/segment', json=dict(image, expressions='the cup'))
        assert response.status_code == 422 and 'send either `image`' in response.json()['detail']


def test_more_pixels_than_can_be_answered(monkeypatch, ask):
    few = Question(png(1), ['a', 'b'])
    monkeypatch.setattr('mmrefseg.deploy.server.worker._MOST_ANSWERED', 2 * 40 * 60)
    [one, other] = answer_questions(ask, [few, few._replace(expressions=['a', 'b', 'c'])], 8)
    assert one.content and other.refused.startswith('3 masks of 60 x 40 pixels take too long')


@pytest.fixture
def impatient(pool):
    class Protocol(ImpatientProtocol):
        seconds = 0.3

    with running(create_app(pool, LIMITS, ServerMetrics()), http=Protocol) as address:
        yield address.removeprefix('http://').split(':')


@pytest.mark.parametrize('begin', [b'', b'GET / HTTP/1.1\r\nX: ',
                                   b'GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /'])
def test_clients_that_send_no_whole_head_lose_their_place(impatient, begin):
    with socket.create_connection(impatient, 10) as connection:
        connection.sendall(begin)
        while connection.recv(1 << 16):
            pass


def test_clients_that_never_read_lose_their_place():
    """An answer that they don't take would be kept for ever, and its place with it."""
    app = FastAPI()
    sent = threading.Event()

    @app.get('/')
    async def much():
        async def blocks():
            try:
                for _ in range(1000):
                    yield bytes(1 << 20)
            finally:
                sent.set()
        return StreamingResponse(blocks())

    class Protocol(ImpatientProtocol):
        seconds = 0.3

    with running(app, http=Protocol) as address, socket.create_connection(
            address.removeprefix('http://').split(':'), 10) as connection:
        connection.sendall(b'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        assert sent.wait(10)


def test_a_slow_answer_is_waited_for(gate):
    class Protocol(ImpatientProtocol):
        seconds = 0.1

    with pool_of(Slow(gate)) as pool, running(create_app(pool, LIMITS, ServerMetrics()), http=Protocol) as address:
        threading.Timer(0.6, gate.touch).start()
        assert httpx.post(f'{address}/v1/segment', timeout=30, **form(b'x', 'wait')).status_code == 422
