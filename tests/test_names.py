"""A public name of a module means one thing in all of mmrefseg and its tools."""
import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_EVERY_TOOL = {'main', 'make_parser'}
STANDS_ALONE = ROOT / 'mmrefseg/apis/export/refseg_onnx.py'  # and so has names of its own for what mmrefseg has, too


def assigned(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    for part in getattr(target, 'elts', ()):
        yield from assigned(part)


def defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    """Names of the functions, classes and values that a module defines."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                yield from assigned(target)
        elif isinstance(node, ast.If | ast.Try):
            yield from defined([*node.body, *node.orelse])


def repeated(modules: dict[str, str]) -> dict[str, list[str]]:
    """Public names that several modules define, of sources by the modules' names."""
    modules_of = defaultdict(list)
    for module, source in modules.items():
        for name in {*defined(ast.parse(source).body)}:
            modules_of[name].append(module)
    return {name: found for name, found in modules_of.items()
            if len(found) > 1 and not name.startswith('_') and name not in OF_EVERY_TOOL}


def test_one_meaning_a_name():
    paths = [path for folder in ('mmrefseg', 'tools') for path in sorted((ROOT / folder).rglob('*.py'))]
    assert len(paths) > 200
    assert not repeated({str(path.relative_to(ROOT)): path.read_text() for path in paths if path != STANDS_ALONE})


def test_repeated_names_are_seen():
    first = 'A, B = 1, 2\n_C = 3\ndef f(): x = 1\ndef main(): pass\n'
    second = 'if x:\n    B: int = 2\n_C = 4\nclass f: pass\ndef main(): pass\n'
    assert repeated({'first': first, 'second': second}) == {'B': ['first', 'second'], 'f': ['first', 'second']}
