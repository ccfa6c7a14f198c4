import pytest

SETUP = """
def get_version():
    version_file = 'mmcv/version.py'
    with open(version_file, encoding='utf-8') as f:
        exec(compile(f.read(), version_file, 'exec'))
    return locals()['__version__']

extra_compile_args = {'cxx': []}
extra_compile_args['cxx'] = ['-std=c++17']
extra_compile_args['nvcc'] = ['-std=c++17']
"""


@pytest.fixture
def unity(helper):
    return helper('unity_build')


@pytest.fixture
def release(unity, tmp_path):
    folder = tmp_path / unity.SOURCE_FOLDER
    (folder / 'cpu').mkdir(parents=True)
    (folder / 'cuda').mkdir()
    names = [unity.HEAVY, *unity.APART, unity.LAST, 'nms.cpp', 'cpu/nms.cpp', 'roi_align.cpp', 'cuda/cudabind.cpp']
    for size, name in enumerate(names, start=1):
        (folder / name).write_text('x' * size)
    (tmp_path / 'setup.py').write_text(SETUP)
    (tmp_path / 'mmcv/version.py').write_text("__version__ = '2.1.0'\n")
    return tmp_path


def test_units(unity):
    sizes = {f'{"cpu/" * (n % 2)}op{n}.cpp': 100 + n for n in range(70)}
    sizes |= {unity.HEAVY: 50_000, unity.LAST: 4_000, **dict.fromkeys(unity.APART, 1_000)}
    units = unity.plan_units(sizes)
    assert sorted(name for unit in units for name in unit) == sorted(sizes)
    assert all(len(set(unit) & set(unity.APART)) == 1 for unit in units)
    assert units[0] == sorted([unity.HEAVY, unity.APART[0]])
    loads = [sum(sizes[name] for name in unit) for unit in units[1:]]
    assert max(loads) - min(loads) < 300
    assert [unit[-1] for unit in units].count(unity.LAST) == 1


def test_sources(unity, release):
    folder = release / unity.SOURCE_FOLDER
    unity.join_sources(release)
    compiled = sorted(path.name for path in folder.rglob('*.cpp'))
    assert compiled == ['cudabind.cpp', 'unit_0.cpp', 'unit_1.cpp', 'unit_2.cpp', 'unit_3.cpp']
    lines = [line for path in folder.glob('unit_*') for line in path.read_text().splitlines()]
    included = [line.removeprefix('#include "').removesuffix('"') for line in lines]
    assert sorted(included) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob('*.inl'))
    assert len(included) == 9 and (folder / 'cpu/nms.inl').read_text() == 'x' * 8


@pytest.mark.parametrize('standard', [17, 20])
def test_setup(unity, release, standard, monkeypatch):
    unity.mend_setup(release, standard)
    monkeypatch.chdir(release)
    names = {}
    exec((release / 'setup.py').read_text(), names)
    assert names['extra_compile_args'] == {'cxx': [f'-std=c++{standard}', '-g0'], 'nvcc': [f'-std=c++{standard}']}
    # What the function defines by exec is not in its own locals() on Python 3.13.
    assert names['get_version']() == '2.1.0' and names['__version__'] == '2.1.0'
