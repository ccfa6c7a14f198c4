"""The command ``mmrefseg NAME ...``, also ``python -m mmrefseg NAME ...``: the tools by short names."""
from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location

from mmrefseg.utils.requirements import why_not
from mmrefseg.utils.shipped_files import shipped_folder
from mmrefseg.version import __version__

COMMANDS = {
    'doctor': ('doctor.py', 'what is installed here, what a config needs, and how to mend what is wrong'),
    'train': ('train.py', 'train a model'),
    'finetune': ('finetune.py', 'tune a model on your own data, test it and report'),
    'test': ('test.py', 'figures of a trained model on the splits of its data set'),
    'evaluate': ('analysis_tools/evaluate_predictions.py', "figures of any program's predictions, with intervals"),
    'errors': ('analysis_tools/analyze_errors.py', 'a page about where and how predictions fail'),
    'probe': ('analysis_tools/probe_language.py', 'whether words matter: figures of a model that is asked otherwise'),
    'calibrate': ('analysis_tools/calibrate.py', 'how sure answers may be, fitted on one split and told on others'),
    'ask': ('image_demo.py', 'ask a trained model about an image, and draw the answers'),
    'predict': ('predict.py', 'ask about many images, on several processes, and go on after a kill'),
    'serve': ('serve.py', 'serve a model by HTTP, in batches, also to Label Studio'),
    'web': ('web.py', 'a page in the browser to ask a model'),
    'push': ('model_converters/push_model.py', 'share a model: a folder, or on the Hugging Face hub'),
    'pull': ('model_converters/pull_model.py', 'get a shared model from the Hugging Face hub'),
    'weights': ('download_weights.py', 'download the pretrained weights that configs ask for'),
    'prepare': ('dataset_converters/prepare.py', 'check a data set and prepare it for training'),
    'import': ('dataset_converters/import_annotations.py', 'make JSON Lines of what an annotation tool wrote'),
    'validate': ('dataset_converters/validate_jsonl.py', 'check your own annotations in JSON Lines'),
    'inspect': ('analysis_tools/inspect_dataset.py', 'a page about your own data, with what to mend first'),
    'export': ('export.py', 'a model as a folder that answers without PyTorch and OpenMMLab'),
    'refshapes': ('dataset_converters/refshapes.py', 'make RefShapes, a data set for trying things'),
    'browse': ('analysis_tools/browse_dataset.py', 'pictures of samples before and after the pipeline'),
    'stats': ('analysis_tools/dataset_stats.py', 'numbers, lengths, kinds and sizes of every split'),
    'params': ('analysis_tools/count_params.py', 'parameters of a model, and how many of them train'),
    'cost': ('analysis_tools/training_cost.py', 'memory, operations, steps and days that a training takes'),
    'benchmark': ('analysis_tools/benchmark.py', 'operations, latency and memory of a model'),
}
ANYWHERE = ('doctor', 'import', 'refshapes')
"""The commands that need none of OpenMMLab's packages."""


def help_text() -> str:
    """All commands, a line each."""
    lines = [f'  {name:<{max(map(len, COMMANDS))}}  {what}' for name, (_, what) in COMMANDS.items()]
    return '\n'.join(('usage: mmrefseg COMMAND ... (mmrefseg COMMAND --help says more)', '', *lines))


def main() -> None:
    """Run the tool that the first argument names, with the other arguments."""
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print(help_text())
    elif name == '--version':
        print(f'mmrefseg {__version__}')
    elif name in COMMANDS:
        script = shipped_folder('tools') / COMMANDS[name][0]
        sys.argv[:2] = [f'mmrefseg {name}']
        sys.path.insert(0, str(script.parent))  # as if the script had been started by its path
        spec = spec_from_file_location(f'mmrefseg_{script.stem}', script)
        if name not in ANYWHERE and why_not():
            sys.exit(f'mmrefseg {name}: {why_not()}')
        tool = module_from_spec(spec)
        sys.modules[spec.name] = tool  # where worker processes look for its functions
        spec.loader.exec_module(tool)
        tool.main()
    else:
        similar = get_close_matches(name, COMMANDS, 1)
        sys.exit(f'mmrefseg: there is no command {name!r}{f"; did you mean {similar[0]}?" if similar else ""}\n\n'
                 + help_text())


if __name__ == '__main__':
    main()
