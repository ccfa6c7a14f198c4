"""A page in the browser to ask a model: web.py CONFIG WEIGHTS."""
from __future__ import annotations

from argparse import ArgumentParser, Namespace

from mmrefseg.apis import command_line
from mmrefseg.deploy.server.serve_command import add_arguments, serve


def make_parser() -> ArgumentParser:
    """The parser of the command line."""
    parser = ArgumentParser(
        description='Show a page to ask a model about pictures: masks, scores, a threshold that acts at once, routing. '
                    'It needs no internet.',
        epilog='example: %(prog)s sera_tiny_refshapes work_dirs/quickstart/iter_600.pth')
    add_arguments(parser, port=7860)
    parser.add_argument('--examples', nargs='+', metavar='INPUT',
                        help='pictures to try instead of made-up ones: images, folders, or JSON Lines of image and '
                             'expressions')
    return parser


def serve_page(args: Namespace) -> None:
    """Show the page as the command line says."""
    serve(args, page=True)


def main() -> None:
    """Show the page as the command line says."""
    command_line.run(make_parser(), serve_page)


if __name__ == '__main__':
    main()
