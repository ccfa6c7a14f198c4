"""Rearranges mmcv's source release so that its operators compile in a fraction of the time.

Each of its 77 C++ files takes 8 to 18 seconds alone, nearly all of them for PyTorch's headers. Here four files include
all others, which get another ending, since mmcv's `setup.py` compiles whatever ends in `.cpp`. CUDA files stay alone.
"""
from pathlib import Path

SOURCE_FOLDER = 'mmcv/ops/csrc/pytorch'
HEAVY = 'pybind.cpp'  # takes as long as two of the other units
# These define the same names: one for each unit.
APART = ('cpu/rotated_feature_align.cpp', 'cpu/bezier_align.cpp', 'cpu/roi_align.cpp', 'cpu/roi_align_rotated.cpp')
LAST = 'cpu/psamask.cpp'  # defines macros named min and max, which nothing must follow


def plan_units(sizes: dict[str, int]) -> list[list[str]]:
    """Which files each unit includes, in order: the heavy one with few others, the rest in parts of equal size.

    Args:
        sizes: the bytes of each file.
    """
    units = [[name] for name in APART]
    units[0].append(HEAVY)
    for name in sorted(sizes.keys() - {HEAVY, *APART}, key=lambda name: (-sizes[name], name)):
        min(units[1:], key=lambda unit: sum(sizes[member] for member in unit)).append(name)
    return [sorted(unit, key=lambda name: (name == LAST, name)) for unit in units]


def join_sources(release: Path) -> None:
    """Make the units in an unpacked release of mmcv; the originals keep their places, as `.inl`."""
    folder = release / SOURCE_FOLDER
    sources = [*folder.glob('*.cpp'), *folder.glob('cpu/*.cpp')]
    units = plan_units({path.relative_to(folder).as_posix(): path.stat().st_size for path in sources})
    for path in sources:
        path.rename(path.with_suffix('.inl'))
    for number, unit in enumerate(units):
        lines = (f'#include "{Path(name).with_suffix(".inl")}"\n' for name in unit)
        (folder / f'unit_{number}.cpp').write_text(''.join(lines))


def mend_setup(release: Path, standard: int) -> None:
    """Let mmcv's `setup.py` compile as this PyTorch demands it, without debug information, and run on Python 3.13.

    Args:
        release: an unpacked release of mmcv.
        standard: the C++ standard, 17 or 20.
    """
    setup = release / 'setup.py'
    # Last on the line, after Python's own flags, which ask for debug information; that nearly doubles the time.
    text = setup.read_text().replace("['cxx'] = ['-std=c++17']", "['cxx'] = ['-std=c++17', '-g0']")
    text = text.replace('-std=c++17', f'-std=c++{standard}')
    # What exec defines in a function is in its locals() no longer.
    text = text.replace("version_file, 'exec'))", "version_file, 'exec'), globals())")
    setup.write_text(text.replace("locals()['__version__']", "globals()['__version__']"))
