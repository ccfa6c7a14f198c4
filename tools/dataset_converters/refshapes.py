"""Make RefShapes, a made-up data set in RefCOCO's own format."""
import argparse
import os
import sys

from mmrefseg.testing import make_refshapes
from mmrefseg.testing.refshapes import NUM_IMAGES, SPLITS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Make RefShapes: pictures of coloured shapes with referring expressions, written as RefCOCO is '
                    '(images/, instances.json, refs(unc).p). val is like train, testA has crowded scenes, testB '
                    'refers to combinations of shape and colour that train never shows.',
        epilog='The same options always give the same bytes, whatever the number of workers. Data that is there '
               'already is kept.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('out_dir', nargs='?', default='data/refshapes', help='folder to fill')
    for split in SPLITS:
        parser.add_argument(f'--num-{split}', type=int, default=NUM_IMAGES[split], metavar='N',
                            help=f'images in {split}')
    parser.add_argument('--image-size', type=int, nargs=2, default=(112, 112), metavar=('W', 'H'),
                        help='width and height in pixels')
    parser.add_argument('--seed', type=int, default=0, help='seed of all randomness')
    parser.add_argument('--workers', type=int, default=len(os.sched_getaffinity(0)), metavar='N',
                        help='processes to draw with')
    parser.add_argument('--overwrite', action='store_true',
                        help='replace RefShapes data made with other options; other data is never replaced')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    num_images = {split: getattr(args, f'num_{split}') for split in SPLITS}
    try:
        made = make_refshapes(args.out_dir, num_images, tuple(args.image_size), args.seed, args.workers,
                              args.overwrite, show_progress=True)
    except (ValueError, OSError) as error:
        sys.exit(f'RefShapes was not made: {error}')
    except KeyboardInterrupt:
        print('\nRefShapes was not made: interrupted; the folder is as it was', file=sys.stderr)
        sys.exit(130)
    if made:
        print(f'RefShapes is in {args.out_dir}: {sum(num_images.values())} images')
    else:
        print(f'RefShapes is in {args.out_dir} already, made with the same options: nothing to do')


if __name__ == '__main__':
    main()
