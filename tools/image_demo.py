"""Ask a trained model what expressions refer to in images, and draw the answers."""
import argparse
import json
import os
from io import BytesIO
from pathlib import Path

from mmrefseg.apis import RefSegInferencer, command_line
from mmrefseg.apis.inference import sources_of
from mmrefseg.utils.files import check_writable, refuse_link, refuse_overwriting, write_atomically


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: %(prog)s street.jpg "the red car" "the man left of it" --config sera_tiny_refshapes '
               '--weights work_dirs/quickstart/iter_600.pth --out answers.png')
    parser.add_argument('image', help='an image file or its address (http, https); or a folder of images, or a pattern '
                                      "in quotes such as 'photos/**/*.jpg'")
    parser.add_argument('expressions', metavar='EXPRESSION', nargs='+', help='what to look for, in quotes')
    parser.add_argument('--config', required=True, help='path of a config, or the name of one in configs/')
    parser.add_argument('--weights', required=True, help='checkpoint that was trained with this config')
    parser.add_argument('--out', help='picture to draw; of several images a folder, for a picture of each answer and '
                                      'answers.jsonl (default: answers.png or answers)')
    parser.add_argument('--threshold', type=float, help="probability that a pixel of a mask exceeds (default: the "
                                                        "config's)")
    parser.add_argument('--device', default='auto', help='such as cpu or cuda:1 (default: a GPU if there is one)')
    parser.add_argument('--dtype', default='float32', choices=('auto', 'float32', 'bfloat16', 'float16'),
                        help='in which the model computes (default: %(default)s, in which it is evaluated)')
    return parser


def demonstrate(args: argparse.Namespace) -> None:
    """Ask the model, print its answers and draw them."""
    images = [source.path for source in sources_of(args.image)]
    several = len(images) > 1 or os.path.isdir(args.image)
    out = Path(args.out or ('answers' if several else 'answers.png'))
    refuse_overwriting(out, images)
    ask = RefSegInferencer(args.config, args.weights, args.device, args.dtype)
    if several:
        stream(ask, images, args, out)
        return
    for result in ask(images, args.expressions, out=out, threshold=args.threshold):
        sure = '' if result.confidence is None else f'confidence {result.confidence:.2f}, '
        print(f'{result.expression}: score {result.score:.2f}, {sure}{result.mask.mean():.1%} of the image')
    print(f'The picture is in {out}')


def stream(ask: RefSegInferencer, images: list[str], args: argparse.Namespace, out: Path) -> None:
    """Write each answer when it is there, so that it stays whatever comes after."""
    check_writable(out)
    refuse_link(out / 'answers.jsonl')
    number = 0
    with (out / 'answers.jsonl').open('w', encoding='utf-8') as lines:
        for number, result in enumerate(ask.stream(images, args.expressions, threshold=args.threshold), 1):
            stem = os.fsencode(Path(result.image_path).stem)[:80].decode('utf-8', 'ignore')
            picture = f'{number:06d}_{stem}.jpg'
            refuse_overwriting(out / picture, images)
            content = BytesIO()
            result.plot().save(content, 'JPEG', quality=90)
            write_atomically(content.getvalue(), out / picture)
            line = json.dumps({**result.to_dict(), 'picture': picture}, ensure_ascii=False)
            lines.write(line.encode('utf-8', 'replace').decode() + '\n')
            lines.flush()
    print(f'{number} answers are in {out}: answers.jsonl and a picture of each')


def main() -> None:
    """Ask as the command line says."""
    command_line.run(make_parser(), demonstrate, 'interrupted; the answers so far are kept')


if __name__ == '__main__':
    main()
