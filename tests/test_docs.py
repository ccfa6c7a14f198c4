"""What README and docs show: commands, recipes and examples."""
import ast
import re
import runpy
import shlex
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image

from mmrefseg.__main__ import COMMANDS
from mmrefseg.apis.config_to_model import build_model
from mmrefseg.datasets.refshapes import make_refshapes
from mmrefseg.errors import InputError
from mmrefseg.registry import DATASETS, HOOKS, MODELS, VISBACKENDS
from mmrefseg.utils.shipped_files import config_path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md')),
         *sorted((ROOT / 'configs').rglob('README.md'))]
LINKED = re.compile(r'\]\(([^)\s#]+)(#[^)\s]*)?\)')


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf'^```{language}\n(.*?)^```', text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words of each command in a page's shell blocks, without what is set ahead of it."""
    lines = '\n'.join(blocks(text, 'bash')).replace('\\\n', ' ').splitlines()
    words = [shlex.split(part, comments=True) for line in lines for part in line.split(' && ')]
    return [line[next((i for i, word in enumerate(line) if not re.match(r'\w+=', word)), 0):] for line in words if line]


def inline_commands(text: str) -> list[list[str]]:
    """The same of the commands within sentences and tables that can be typed as they stand."""
    pattern = r'`(?:\w+=\w+ )?((?:python|bash) tools/[\w/.]+ [^`]+|mmrefseg \w+ CONFIG[^`]*)`'
    found = re.findall(pattern, text)
    return [shlex.split(command) for command in found if '--help' not in command]


ALL = [pytest.param(line, id=f'{page.parent.name}/{page.stem}: {shlex.join(line)[:60]}')
       for page in PAGES for text in [page.read_text()] for line in [*commands(text), *inline_commands(text)]]


class HasParsedError(Exception):
    """Ends a tool when its command line was read."""


def read_command_line(script: Path, arguments: list[str], monkeypatch) -> None:
    """Let a tool read its arguments; it exits if they are none of its own."""
    monkeypatch.setattr(sys, 'argv', [str(script), *arguments])
    monkeypatch.syspath_prepend(script.parent)
    read = ArgumentParser.parse_args

    def stop(parser: ArgumentParser, *args: object) -> None:
        read(parser, *args)
        raise HasParsedError

    monkeypatch.setattr(ArgumentParser, 'parse_args', stop)
    with pytest.raises(HasParsedError):
        runpy.run_path(str(script), run_name='__main__')


def check_configs(arguments: list[str]) -> None:
    """Files that belong to the repository are there, as are configs that are named without a path."""
    for word in arguments:
        if word.startswith(('configs/', 'docs/', 'tools/', 'tests/')) and word != 'docs/_build':
            assert (ROOT / word).exists(), word
        elif re.match(r'(sera|detris|cris|segvlm)_\w', word):
            config_path(word)


@pytest.mark.parametrize('words', ALL)
def test_commands_can_be_typed(words, monkeypatch, capsys):
    assert '--help' not in words, 'prints help, and nothing is checked'
    program, *arguments = words
    if program in ('python', 'bash') and not arguments[0].startswith('-'):
        program, *arguments = arguments
    check_configs([program, *arguments])
    if program.endswith('_train.sh'):
        train_arguments = arguments[2 if 'slurm' in program else 0:]
        if 'dist' in program:
            assert train_arguments.pop(1).isdigit()
        read_command_line(ROOT / 'tools/train.py', train_arguments, monkeypatch)
    elif program.endswith('.sh'):
        known = (ROOT / program).read_text()
        assert all(word in known for word in arguments if word.startswith('--'))
    elif program == 'mmrefseg':
        read_command_line(ROOT / 'tools' / COMMANDS[arguments[0]][0], arguments[1:], monkeypatch)
    elif program == 'torchrun':
        start = next(i for i, word in enumerate(arguments) if word.endswith('.py'))
        read_command_line(ROOT / arguments[start], arguments[start + 1:], monkeypatch)
    elif program.endswith('.py'):
        read_command_line(ROOT / program, arguments, monkeypatch)
    else:
        assert program in ('cd', 'codespell', 'curl', 'docker', 'git', 'mypy', 'pip', 'pre-commit', 'ruff',
                           'sphinx-build', 'source', 'unzip', '.ci/run')


def test_a_command_that_cannot_be_typed(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        test_commands_can_be_typed(['mmrefseg', 'train', 'sera_tiny_refshapes', '--epochs', '3'], monkeypatch, capsys)
    with pytest.raises(AssertionError):
        test_commands_can_be_typed(['python', 'tools/no.py'], monkeypatch, capsys)


def test_commands_that_are_listed():
    page = (ROOT / 'docs/get_started.md').read_text()
    table = dict(re.findall(r'^\| `mmrefseg (\w+)` \| `tools/([\w/.]+)` \|', page, re.MULTILINE))
    assert len(table) > 20 and table == {name: COMMANDS[name][0] for name in table}


def needs_what_is_not_here(words: list[str]) -> bool:
    """Whether a command takes full-size data, weights from the network, several machines or Docker."""
    if words[0] == 'docker' or any('slurm' in word for word in words):
        return True
    reads_settings_alone = {'params', 'benchmark', 'cost', 'doctor'} & {Path(word).stem for word in words[:2]}
    reads_settings_alone |= {'count_params', 'audit_leakage', 'benchmark_data'} & {Path(word).stem for word in words}
    wanted = r'(sera|detris|cris|segvlm)_(dino|r50|r101)\w|download_weights|refcoco-unc$'
    return not reads_settings_alone and any(re.search(wanted, word) for word in words)


OF_OTHERS = {'cd', 'codespell', 'curl', 'git', 'mypy', 'pip', 'pre-commit', 'ruff', 'source', 'sphinx-build', 'unzip'}
"""Programs that are not ours to test."""

CALLERS = {'call', 'command', 'helper', 'run_converter'}
"""Functions of tests that run a tool by its name, their first argument."""


def scripts_run_by(test: ast.Module) -> set[str]:
    """Names of the tools that a test's code names as files, hands to what runs them, or runs by ``mmrefseg NAME``."""
    ours, found = {Path(script).stem for script, _ in COMMANDS.values()}, set()
    for node in ast.walk(test):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None  # a docstring runs nothing
    for node in ast.walk(test):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r'(?:^|[/ ])([\w-]+)\.(?:py|sh)\b', node.value))
            if '/' in node.value and Path(node.value).name in ours:
                found.add(Path(node.value).name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLERS:
            found |= {word.value for word in node.args[:1] if isinstance(word, ast.Constant)}
        elif isinstance(node, ast.List | ast.Tuple):
            words = [word.value for word in node.elts if isinstance(word, ast.Constant)]
            if words[:1] == ['mmrefseg'] or any(str(word).startswith('--') for word in words):
                found |= {Path(COMMANDS[word][0]).stem for word in words[:2] if word in COMMANDS}
    return found


def scripts_run_by_tests() -> set[str]:
    tests = [path for path in (ROOT / 'tests').rglob('*.py') if path != Path(__file__)]
    run_by_ci = re.findall(r'tools/(\w+)\.sh', (ROOT / '.ci/run').read_text())
    return set(run_by_ci).union(*(scripts_run_by(ast.parse(path.read_text())) for path in tests))


def script_of(words: list[str]) -> str | None:
    """Name of the tool that a command runs; None for a program of others."""
    if words[0] == 'mmrefseg':
        return Path(COMMANDS[words[1]][0]).stem
    if words[0] in ('python', 'bash'):
        return None if words[1].startswith('-') else Path(words[1]).stem
    return None if words[0] in OF_OTHERS else Path(words[0]).stem


def unproven(text: str, run: set[str]) -> list[str]:
    """Commands of a page that are neither of tools that tests run, nor in a section that says "not run".

    What the page says ahead of its sections of "the commands below" goes for all of them.

    Args:
        text: the page.
        run: names of the tools that tests run.
    """
    sections = re.split(r'^(?=## )', text, flags=re.MULTILINE)
    for_all = re.search(r'[Tt]he\scommands\sbelow\b[^.]*\bnot\srun\b', sections[0])
    return [shlex.join(words) for section in sections
            if not for_all and not re.search(r'\bnot\srun\b', section)
            for words in [*commands(section), *inline_commands(section)]
            if needs_what_is_not_here(words) or script_of(words) not in run | {None}]


def test_commands_are_run_by_tests_or_said_not_to_be():
    run = scripts_run_by_tests()
    assert {str(page.relative_to(ROOT)): found for page in PAGES if (found := unproven(page.read_text(), run))} == {}


@pytest.mark.parametrize(('page', 'expected'), [
    ('{serve}', ['mmrefseg serve a b']),
    ('Not run.\n## One\n{serve}', ['mmrefseg serve a b']),
    ('It was not run.\n## One\n{serve}', ['mmrefseg serve a b']),
    ('## One\nnot run\n## Two\n{serve}', ['mmrefseg serve a b']),
    ('## One\n{serve}(This was not\nrun.)', []),
    ('The commands below need much,\nand were not run.\n## One\n{serve}', []),
    ('```bash\nmmrefseg train sera_dinov2_refcoco\n```', ['mmrefseg train sera_dinov2_refcoco']),
    ('```bash\nA=1 tools/no.sh x && mmrefseg train sera_tiny_refshapes\ncurl x\n```', ['tools/no.sh x']),
    ('```bash\npython tools/no.py\n```', ['python tools/no.py']),
    ('Type `bash tools/no.sh x`.', ['bash tools/no.sh x']),
])
def test_commands_without_proof_are_found(page, expected):
    assert unproven(page.format(serve='```bash\nmmrefseg serve a b\n```\n'), {'train'}) == expected


def test_what_runs_a_tool():
    source = '''
"""Of serve.py."""
def test():
    """And of web.py."""
    load_script('tools/train.py'), Path('model_converters/pull_model'), f'{x}/test.py', command('prepare', 'web')
    run(['mmrefseg', 'ask', '--out', 'export']), ('import', 'table', '--out'), ('cost', 'val')
'''
    assert scripts_run_by(ast.parse(source)) == {
        'train', 'pull_model', 'test', 'prepare', 'image_demo', 'import_annotations'}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: f'{page.parent.name}/{page.stem}')
def test_files_that_are_linked_are_there(page):
    for target, _ in LINKED.findall(page.read_text()):
        assert re.match(r'https?://|mailto:', target) or (page.parent / target).exists(), target


def mapped_parts() -> list[tuple[list[str], list[str]]]:
    """Of each row of the tables of parts: the classes, functions and switches, and the files."""
    tables = re.search(r"^## Where the papers' parts are\n(.*?)^## Rules", (ROOT / 'docs/concepts.md').read_text(),
                       re.MULTILINE | re.DOTALL)[1]
    rows = [line.strip('|').split('|') for line in tables.splitlines() if line.startswith('| ') and '`' in line]
    return [tuple(re.findall('`(.*?)`', column) for column in row[1:]) for row in rows]


def test_parts_are_where_the_map_says():
    parts = mapped_parts()
    assert len(parts) > 30
    for names, files in parts:
        paths = [path for file in files for path in (ROOT / 'mmrefseg/models' / file, ROOT / 'mmrefseg' / file)
                 if path.is_file()]
        assert len(paths) == len(files), files
        source = '\n'.join(path.read_text() for path in paths)
        for name in names:
            pattern = rf'^class {name}\b' if name[0].isupper() else rf'\b{name}: '
            if name.endswith('()'):
                pattern = rf'^def {re.escape(name[:-1])}'
            assert re.search(pattern, source, re.MULTILINE), f'{name} is not in {files}'


RECIPES = [text for name in ('cookbook', 'train') for text in blocks((ROOT / f'docs/{name}.md').read_text(), 'python')]


@pytest.mark.parametrize('recipe', RECIPES, ids=lambda text: re.sub(r'.*?\n(\w+).*', r'\1', text, flags=re.DOTALL))
def test_recipes_build(recipe, tmp_path):
    """Everything that they set is taken; the model is made small."""
    path = tmp_path / 'recipe.py'
    path.write_text(recipe)
    cfg = Config.fromfile(path)
    base = Config.fromfile(config_path(re.search(r"config_path\('(.*?)'\)", recipe)[1]))
    assert cfg._cfg_dict != base._cfg_dict, 'a recipe changes something'
    for backend in cfg.vis_backends:
        assert VISBACKENDS.get(backend['type'])
    tiny = Config.fromfile(config_path('sera/sera_tiny_refshapes.py'))
    cfg.merge_from_dict(dict(
        work_dir=str(tmp_path), log_level='ERROR', experiment_name=f'recipe_{abs(hash(recipe))}', load_from=None))
    cfg.model, cfg.visualizer = tiny.model, tiny.visualizer
    runner = Runner.from_cfg(cfg)
    runner.build_optim_wrapper(cfg.optim_wrapper)
    kinds = {type(hook) for hook in runner.hooks}
    for hook in [*cfg.default_hooks.values(), *cfg.get('custom_hooks', ())]:
        assert HOOKS.get(hook['type']) in kinds


def test_a_hook_of_the_recipe_for_loading_a_part_checks_nothing(tmp_path):
    path = tmp_path / 'recipe.py'
    path.write_text(next(text for text in RECIPES if 'strict' in text))
    hook = HOOKS.build(Config.fromfile(path).default_hooks.load_checkpoint)
    assert type(hook).__name__ == 'LoadCheckpointHook' and not hook.strict


def test_own_data(tmp_path, monkeypatch):
    """The lines on the page about them, in the config of the recipe for fine-tuning."""
    folder = tmp_path / 'data/mine'
    for name in ('images/a', 'annotations', 'masks'):
        (folder / name).mkdir(parents=True)
    Image.new('RGB', (20, 16)).save(folder / 'images/a/b.jpg')
    Image.new('L', (20, 16), 255).save(folder / 'masks/b_dog.png')
    lines = re.findall(r'^    ({"image.*})$', (ROOT / 'docs/own_data.md').read_text(), re.MULTILINE)
    (folder / 'annotations/train.jsonl').write_text('\n'.join(lines))
    (tmp_path / 'recipe.py').write_text(next(text for text in RECIPES if 'JSONLinesDataset' in text))
    monkeypatch.chdir(tmp_path)
    cfg = Config.fromfile('recipe.py')
    with DefaultScope.overwrite_default_scope('mmrefseg'):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    assert [sample.text for sample in samples][::2] == ['the red cup', 'a giraffe']
    assert samples[1].text in ('the left dog', 'a sleeping dog')
    # In the image's own pixels: a square of 10 × 10, all of 20 × 16 (less at the blurred edges), and nothing.
    areas = [sample.gt_sem_seg.data.sum().item() / 22.4**2 for sample in samples]
    assert areas == pytest.approx([100, 320, 0], rel=0.03)


def test_the_example_trains(tmp_path, monkeypatch):
    """Parts of one's own, from the page on writing them."""
    monkeypatch.syspath_prepend(ROOT / 'docs/examples')
    make_refshapes(tmp_path / 'data', {'train': 4, 'val': 1}, image_size=64)
    cfg = Config.fromfile(ROOT / 'docs/examples/my_config.py')
    cfg.merge_from_dict({
        'work_dir': str(tmp_path / 'run'), 'log_level': 'ERROR', 'experiment_name': 'docs_example',
        'randomness': dict(seed=0),
        **{f'{name}_dataloader.{key}': value for name in ('train', 'val', 'test') for key, value in {
            'batch_size': 2, 'num_workers': 0, 'persistent_workers': False,
            'dataset.data_root': str(tmp_path / 'data')}.items()},
        'train_cfg.max_iters': 3, 'train_cfg.val_interval': 3, 'default_hooks.checkpoint.interval': 3,
    })
    runner = Runner.from_cfg(cfg)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner.train()
    own = [name for name, _ in runner.model.named_parameters() if name.startswith(('neck.', 'decode_head.'))]
    assert {name.split('.')[1] for name in own} == {'project', 'modulate', 'bias'}
    assert not any(torch.equal(runner.model.state_dict()[name], before[name]) for name in own)
    assert 0 <= runner.message_hub.get_scalar('val/mIoU').current() <= 100
    assert (tmp_path / 'run/iter_3.pth').is_file()


@pytest.mark.parametrize('forgotten', ['takes_text', 'predict'])
def test_messages_of_what_is_forgotten(forgotten, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / 'docs/examples')
    cfg = Config.fromfile(ROOT / 'docs/examples/my_config.py')
    monkeypatch.delattr(MODELS.get('WordHead'), forgotten)
    with pytest.raises(InputError) as caught:
        build_model(cfg)
    assert str(caught.value) in (ROOT / 'docs/write_parts.md').read_text().replace('\\`', '`')
