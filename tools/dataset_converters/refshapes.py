"""Make RefShapes, a made-up data set in the format of RefCOCO or PhraseCut."""
import argparse

from mmrefseg.apis import command_line
from mmrefseg.datasets.refshapes import LAYOUTS, STYLES, make_refshapes
from mmrefseg.utils.collect_env import usable_cores

ANY_LAYOUTS_SPLITS = tuple(dict.fromkeys(split for layout in LAYOUTS.values() for split in layout.NUM_IMAGES))


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line."""
    parser = argparse.ArgumentParser(
        description='Make RefShapes: pictures of coloured shapes with referring expressions. In the format of RefCOCO '
                    '(images/, instances.json, refs(unc).p) each refers to one object; val is like train, testA has '
                    'crowded scenes, testB refers to combinations of shape and colour that train never shows. In the '
                    'format of PhraseCut (images/, refer_<split>.json, ...) many refer to several objects; val, test '
                    'and miniv are like train.',
        epilog='The same options always give the same bytes, whatever the number of workers. Data that is there '
               'already is kept.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out_dir', nargs='?', default=argparse.SUPPRESS,
                        help='folder to fill (default: data/refshapes, or data/refshapes-FORMAT)')
    parser.add_argument('--format', choices=LAYOUTS, default='refcoco', help="whose files' format")
    for split in ANY_LAYOUTS_SPLITS:
        numbers = {layout.NUM_IMAGES[split] for layout in LAYOUTS.values() if split in layout.NUM_IMAGES}
        parser.add_argument(f'--num-{split}', type=int, metavar='N', default=argparse.SUPPRESS,
                            help=f'images in {split} (default: {max(numbers)})')
    parser.add_argument('--image-size', type=int, nargs=2, default=(112, 112), metavar=('W', 'H'),
                        help='width and height in pixels')
    parser.add_argument('--style', choices=STYLES, default='plain',
                        help='how pictures are painted; dusk is hatched and dark, to try fine-tuning on')
    parser.add_argument('--seed', type=int, default=0, help='seed of all randomness')
    parser.add_argument('--workers', type=int, default=usable_cores(), metavar='N',
                        help='processes to draw with')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace RefShapes data made with other options; other data is never replaced')
    return parser


def make(args: argparse.Namespace) -> None:
    """Make RefShapes as the command line says."""
    default = 'data/refshapes' if args.format == 'refcoco' else f'data/refshapes-{args.format}'
    out_dir = getattr(args, 'out_dir', default)
    given = {split: getattr(args, f'num_{split}') for split in ANY_LAYOUTS_SPLITS if f'num_{split}' in args}
    num_images = {**LAYOUTS[args.format].NUM_IMAGES, **given}
    made = make_refshapes(out_dir, num_images, tuple(args.image_size), args.seed, args.workers, args.overwrite,
                          show_progress=True, layout=args.format, style=args.style)
    if made:
        print(f'RefShapes is in {out_dir}: {sum(num_images.values())} images')
    else:
        print(f'RefShapes is in {out_dir} already, made with the same options: nothing to do')


def main() -> None:
    """Make the data as the command line says."""
    command_line.run(make_parser(), make, interrupted='interrupted; the folder is as it was')


if __name__ == '__main__':
    main()
