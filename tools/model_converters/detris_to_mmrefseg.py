"""Convert an official checkpoint of DETRIS: tools/model_converters/detris_to_mmrefseg.py SRC DST."""
from mmrefseg.apis.checkpoint_conversion import run_converter
from mmrefseg.models.converters import convert_detris


def main() -> None:
    """Convert as the command line says."""
    run_converter(
        convert_detris, ('detris_dinov2_refcoco', 'detris_dinov2-large_refcoco', 'detris_dinov2-large_refcoco-mixed'),
        'Convert a checkpoint of the official DETRIS code '
        '(https://github.com/jiaqihuang01/DETRIS) for configs/detris. Size and adapters are found from its weights.')


if __name__ == '__main__':
    main()
