"""What the commands that serve share."""
from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from functools import partial
from pathlib import Path

from mmrefseg.apis.inference.image_download import download_image
from mmrefseg.apis.inference.model_loading import identity_of, load_inferencer
from mmrefseg.errors import InputError
from mmrefseg.utils.optional_packages import need_extra

from .limits import Limits

TOKEN = 'LABEL_STUDIO_TOKEN'
"""Environment variable with what Label Studio wants to be shown."""


def add_arguments(parser: ArgumentParser, port: int) -> None:
    """Add the model, and what the server takes.

    Args:
        parser: the command line.
        port: the default one.
    """
    parser.add_argument('model', metavar='CONFIG', help='path of a config, or the name of one in configs/; or a folder '
                                                        'of mmrefseg push or export, or hf:owner/name: then no WEIGHTS')
    parser.add_argument('weights', metavar='WEIGHTS', nargs='?', help='checkpoint that was trained with this config')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on (default: %(default)s, which only '
                                                            'this machine reaches; 0.0.0.0 is every one)')
    parser.add_argument('--allow-host', nargs='+', default=[], metavar='NAME',
                        help='other names by which the server may be called, such as that of a proxy before it '
                             '(default: only localhost, and what --host says)')
    parser.add_argument('--port', type=int, default=port, help='to listen on; 0 takes a free one (default: '
                                                               '%(default)s)')
    parser.add_argument('--workers', type=int, default=1, help='processes with a model each (default: %(default)s)')
    parser.add_argument('--batch-size', type=int, default=8, help='expressions that a model sees at once (default: '
                                                                  '%(default)s)')
    parser.add_argument('--max-image-mb', type=float, default=20, metavar='MB',
                        help="size of an image's file (default: %(default)s)")
    parser.add_argument('--max-expressions', type=int, default=32, metavar='N',
                        help='expressions in a request (default: %(default)s)')
    parser.add_argument('--timeout', type=float, default=60, metavar='SECONDS',
                        help='that a request may take (default: %(default)s)')
    parser.add_argument('--queue', type=int, default=64, metavar='N',
                        help='requests at a time; those beyond are told to come again (default: %(default)s)')
    parser.add_argument('--max-held-mb', type=float, default=256, metavar='MB',
                        help='size of all requests that are held at a time; those beyond are told to come again '
                             '(default: %(default)s)')
    parser.add_argument('--device', default='auto', help='such as cpu or cuda:1 (default: a GPU if there is one)')
    parser.add_argument('--dtype', default='float32', choices=('auto', 'float32', 'bfloat16', 'float16'),
                        help='in which the model computes (default: %(default)s, in which it is evaluated)')


def limits_of(args: Namespace) -> Limits:
    """The limits that a command line asks for.

    Args:
        args: the command line.

    Raises:
        InputError: a number is out of range.
    """
    for name in ('workers', 'batch_size', 'max_image_mb', 'max_expressions', 'timeout', 'queue', 'max_held_mb'):
        if not 0 < getattr(args, name) < 1 << 20:
            raise InputError(f'--{name.replace("_", "-")} must be more than 0, got {getattr(args, name)}')
    limits = Limits(int(args.max_image_mb * (1 << 20)), args.max_expressions, args.timeout, args.queue,
                    int(args.max_held_mb * (1 << 20)))
    if limits.held_bytes < limits.body_bytes:
        raise InputError(f'--max-held-mb {args.max_held_mb:g} leaves no room for one image of --max-image-mb '
                         f'{args.max_image_mb:g} in base64: it must be at least {-(-limits.body_bytes >> 20)}')
    return limits


def version_of(model: str, weights: str | None) -> str:
    """A name that changes with the model and its weights.

    Args:
        model: as :func:`load_inferencer` takes it.
        weights: as :func:`load_inferencer` takes it.
    """
    identity = identity_of(model, weights)
    return ' '.join(filter(None, [Path(model).stem, Path(identity['weights'] or '').name[:12]]))


def serve(args: Namespace, page: bool, allow_urls: bool = False, label_studio: str | None = None) -> None:
    """Load the model and serve until Ctrl-C or a termination.

    Args:
        args: the command line.
        page: whether the page in the browser is there.
        allow_urls: whether images are fetched from addresses on the internet. Default False.
        label_studio: address of a Label Studio that may ask. Default None.

    Raises:
        UserError: a package is missing, the model cannot be loaded, or the port is taken.
    """
    need_extra('serve', 'fastapi', 'uvicorn', 'multipart', 'prometheus_client')
    from .allowed_hosts import AllowedHosts
    from .app import create_app
    from .browser_page import add_page, made_examples, named_examples
    from .label_studio import add_label_studio, label_studio_fetch
    from .prometheus_metrics import ServerMetrics
    from .run_server import run_server
    from .worker_pool import WorkerPool

    limits, metrics = limits_of(args), ServerMetrics()
    fetch = partial(download_image, longest=limits.seconds, limit=limits.image_bytes, public_only=True)
    load = partial(load_inferencer, args.model, args.weights, args.device, args.dtype)
    print('loading the model …', flush=True)
    with WorkerPool(load, metrics, args.workers, args.batch_size, limits.waiting, limits.seconds) as pool:
        app = create_app(pool, limits, metrics, fetch if allow_urls else None, AllowedHosts(args.host, args.allow_host))
        if page:
            add_page(app, named_examples(args.examples) if args.examples else made_examples())
        if label_studio:
            of_tasks = label_studio_fetch(label_studio, os.environ.get(TOKEN), limits, fetch if allow_urls else None)
            add_label_studio(app, limits, of_tasks, version_of(args.model, args.weights))
        run_server(app, args.host, args.port, limits, lambda address: print(
            f'{address}{"" if page else "/docs describes the interface"}; Ctrl-C stops it', flush=True))
