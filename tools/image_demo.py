"""Ask a trained model what expressions refer to in an image, and draw the answers."""
import argparse

from mmrefseg.apis import RefSegInferencer, command_line


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: %(prog)s street.jpg "the red car" "the man left of it" --config sera_tiny_refshapes '
               '--weights work_dirs/quickstart/iter_560.pth --out answers.png')
    parser.add_argument('image', help='an image file')
    parser.add_argument('expressions', metavar='EXPRESSION', nargs='+', help='what to look for, in quotes')
    parser.add_argument('--config', required=True, help='path of a config, or the name of one in configs/')
    parser.add_argument('--weights', required=True, help='checkpoint that was trained with this config')
    parser.add_argument('--out', default='answers.png', help='picture to draw (default: %(default)s)')
    parser.add_argument('--device', help='such as cpu or cuda:1 (default: a GPU if there is one)')
    return parser


def demonstrate(args: argparse.Namespace) -> None:
    """Ask and draw."""
    ask = RefSegInferencer(args.config, args.weights, args.device)
    for result in ask(args.image, args.expressions, out=args.out):
        print(f'{result.expression}: score {result.score:.2f}, {result.mask.mean():.1%} of the image')
    print(f'The picture is in {args.out}')


def main() -> None:
    """Ask as the command line says."""
    command_line.run(make_parser(), demonstrate)


if __name__ == '__main__':
    main()
