"""Serve a model by HTTP: serve.py CONFIG WEIGHTS."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mmrefseg.apis import command_line
from mmrefseg.deploy.server.serve_command import TOKEN, add_arguments, serve


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Serve a model by HTTP: POST /v1/segment, /health, /metrics; /docs describes the interface.',
        epilog='example: %(prog)s sera_tiny_refshapes work_dirs/quickstart/iter_600.pth, and then: curl -F '
               'image=@street.jpg -F expressions="the red car" http://127.0.0.1:8000/v1/segment')
    add_arguments(parser, port=8000)
    parser.add_argument('--allow-urls', action='store_true',
                        help='fetch images from addresses in requests, of the internet only')
    parser.add_argument('--label-studio', metavar='URL',
                        help='let the Label Studio at this address ask, and fetch its images; the environment variable '
                             f'{TOKEN} holds what it wants to be shown')
    return parser


def serve_questions(args: Namespace) -> None:
    """Serve as the command line says."""
    serve(args, False, args.allow_urls, args.label_studio)


def main() -> None:
    """Serve as the command line says."""
    command_line.run(make_parser(), serve_questions)


if __name__ == '__main__':
    main()
