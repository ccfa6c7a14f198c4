"""Export a trained model into a folder that answers without PyTorch and OpenMMLab."""
import argparse

from mmrefseg.apis import RefSegInferencer, command_line
from mmrefseg.apis.export import check_export, export_model
from mmrefseg.errors import InputError
from mmrefseg.utils.files import refuse_overwriting


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: %(prog)s sera_tiny_refshapes work_dirs/quickstart/iter_600.pth exported --check')
    parser.add_argument('config', help='path of a config, or the name of one in configs/')
    parser.add_argument('weights', help='checkpoint that was trained with this config')
    parser.add_argument('folder', metavar='OUT', help='folder to write; an earlier export in it is replaced')
    parser.add_argument('--format', default='onnx', choices=('onnx', 'pt2'),
                        help="for onnxruntime, or for PyTorch alone, also compiled where there is a C++ compiler "
                             '(default: %(default)s)')
    parser.add_argument('--split-image-text', action='store_true',
                        help='a file for the image and one for text and mask, so that an image is encoded once')
    smaller = parser.add_mutually_exclusive_group()
    smaller.add_argument('--fp16', dest='precision', action='store_const', const='float16',
                         help='half the size, for GPUs')
    smaller.add_argument('--int8', dest='precision', action='store_const', const='int8',
                         help='linear layers and embeddings in 8 bits, for CPUs')
    parser.set_defaults(precision='float32')
    parser.add_argument('--check', nargs='?', type=int, const=200, metavar='N',
                        help="compare with PyTorch: tokens, logits, masks on N expressions of the config's val split "
                             '(default: %(const)s), mIoU and latency; ends with status 1 where they are too far apart')
    return parser


def export(args: argparse.Namespace) -> int:
    """Export, and check what was exported."""
    if args.format == 'pt2' and (args.precision != 'float32' or args.check is not None):
        raise InputError('--fp16, --int8 and --check go with --format onnx alone; leave them out')
    refuse_overwriting(args.folder, [args.config, args.weights])
    ask = RefSegInferencer(args.config, args.weights, 'cpu')
    export_model(ask, args.folder, args.config, args.weights, args.format, args.split_image_text, args.precision)
    print(f'{args.folder} holds the exported model; its README.md says how it is used')
    if args.check is None:
        return 0
    return 0 if check_export(ask, args.config, args.folder, args.check) else 1


def main() -> None:
    """Export as the command line says."""
    command_line.run(make_parser(), export)


if __name__ == '__main__':
    main()
