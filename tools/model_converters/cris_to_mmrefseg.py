"""Convert an official checkpoint of CRIS: tools/model_converters/cris_to_mmrefseg.py SRC DST."""
from mmrefseg.apis.checkpoint_conversion import run_converter
from mmrefseg.models.converters import convert_cris


def main() -> None:
    """Convert as the command line says."""
    run_converter(
        convert_cris, ('cris_r50_refcoco', 'cris_r101_refcoco'), 'Convert a checkpoint of the official CRIS code '
        '(https://github.com/DerrickWang005/CRIS.pytorch) for configs/cris. The ResNet is found from its weights.')


if __name__ == '__main__':
    main()
