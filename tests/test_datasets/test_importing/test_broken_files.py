"""Broken and hostile files of every format: one message, nothing half-written, the source as it was."""
import hashlib
import json
import pickle
import shutil

import pytest
from PIL import Image

from mmrefseg.datasets.importing import import_annotations
from mmrefseg.errors import UserError

SQUARE = [2, 1, 6, 1, 6, 5, 2, 5]
POINTS = [[2, 1], [6, 1], [6, 5], [2, 5]]


def refuse(kind, source, message):
    """Import must end with the message, and leave nothing behind."""
    def digest():
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in source.rglob('*') if path.is_file()}

    before = digest()
    with pytest.raises(UserError, match=message):
        import_annotations(kind, source, source.parent / 'out')
    assert [path.name for path in source.parent.iterdir()] == ['src'] and digest() == before


@pytest.fixture
def source(tmp_path_factory):
    """A folder whose name holds nothing of the expected messages, as tmp_path would."""
    folder = tmp_path_factory.mktemp('f') / 'src'
    folder.mkdir()
    Image.new('RGB', (20, 10)).save(folder / 'a.jpg')
    return folder


def labelme(**changes):
    shape = {'label': 'cup', 'points': POINTS, 'shape_type': 'polygon'}
    return json.dumps({'imagePath': 'a.jpg', 'imageHeight': 10, 'imageWidth': 20, 'imageData': None,
                       'shapes': [shape], **changes})


def shape(**changes):
    return labelme(shapes=[{'label': 'cup', 'points': POINTS, **changes}])


@pytest.mark.parametrize(('content', 'message'), [
    (labelme()[:-9], 'is not a whole JSON file'),
    (labelme(imagePath=['a.jpg']), 'imagePath'),
    (labelme(imagePath='b.jpg'), "image 'b.jpg' is not there"),
    (labelme(imagePath='../../../a/b.jpg'), "image 'b.jpg' is not there"),
    (labelme(imageHeight='tall'), 'height and width must be a number'),
    (labelme(imageHeight=30, imageWidth=60), r'made on a picture of \(30, 60\)'),
    (labelme(imageHeight=1e9, imageWidth=1e9), 'whole numbers of pixels from 1'),
    (labelme(shapes={'a': 1}), 'shapes'),
    (labelme(shapes=[5]), r'shapes\[0\]: expected an object'),
    (shape(points=None), 'points must be a list of numbers'),
    (shape(points=[[1, 'x'], [2, 2], [3, 3]]), "points must be a number, got 'x'"),
    (shape(points=[[1, float('inf')], [2, 2], [3, 3]]), 'finite'),
    (shape(points=[[1], [2, 2], [3, 3], [4, 4]]), r'\[x, y\] pairs'),
    (shape(shape_type=7), 'shape_type'),
    (shape(description=5), 'description must be words'),
    (shape(label=['cup', 5]), 'label must be words'),
    (shape(points=[[100, 100], [120, 100], [120, 120]]), 'near the image of'),
])
def test_labelme(source, content, message):
    (source / 'a.json').write_text(content)
    refuse('labelme', source, message)


LABEL = '0 0.1 0.1 0.3 0.1 0.3 0.5'


@pytest.mark.parametrize(('label', 'settings', 'message'), [
    (LABEL, None, 'holds no data.yaml'),
    (LABEL, 'names: [cup', 'is no YAML'),
    (LABEL, 'names: !!python/object/apply:os.system ["false"]', 'is no YAML'),
    (LABEL, 'nc: 3', "'names' must list the classes"),
    (LABEL, 'names: 5', "'names' must list the classes"),
    (LABEL, '[' * 100000, 'is no YAML'),
    (LABEL.replace('0 ', '4 ', 1), 'names: [cup]', "no class '4' in data.yaml"),
    ('0 10 10 30 10 30 50', 'names: [cup]', 'coordinates must be shares'),
    ('0 0.1 0.1 0.3 0.1 0.3', 'names: [cup]', 'three points or more, got 5'),
    ('0 0.1 x 0.3 0.1 0.3 0.5', 'names: [cup]', "must be a number, got 'x'"),
    ('0 nan 0.1 0.3 0.1 0.3 0.5', 'names: [cup]', 'finite'),
    (b'\xff\xfe\x00', 'names: [cup]', 'not in UTF-8'),
    ('', 'names: [cup]', 'nothing that an expression refers to'),
])
def test_yolo(source, label, settings, message):
    (source / 'labels').mkdir()
    (source / 'images').mkdir()
    (source / 'a.jpg').rename(source / 'images/a.jpg')
    (source / 'labels/a.txt').write_bytes(label if isinstance(label, bytes) else label.encode())
    if settings is not None:
        (source / 'data.yaml').write_text(settings)
    refuse('yolo', source, message)


def test_yolo_without_labels(source):
    (source / 'data.yaml').write_text('names: [cup]')
    refuse('yolo', source, 'holds no labels')


HEAD = 'image,mask,expression\n'


@pytest.mark.parametrize(('content', 'message'), [
    (HEAD.encode('utf-16'), 'not in UTF-8|holds no file'),
    ((HEAD + 'a.jpg,none,Br\xfccke\n').encode('latin-1'), 'not in UTF-8'),
    ('image,mask\na.jpg,none\n', 'no column of the expression'),
    ('picture of it,mask,expression\na.jpg,none,x\n', 'no column of the image'),
    (HEAD + 'a.jpg,"[[1, 2",cup\n', 'looks like JSON, but is none'),
    (HEAD + 'a.jpg,m.png,cup\n', "mask 'm.png' is not there"),
    (HEAD + 'b.jpg,"[[2,1,6,1,6,5]]",cup\n', "image 'b.jpg' is not there"),
    (HEAD + ',"[[2,1,6,1,6,5]]",cup\n', 'image must name an image'),
    (HEAD + 'a.jpg,"{""size"": [10, 20], ""counts"": 5}",cup\n', 'counts of an RLE'),
    (HEAD + 'a.jpg,"{""size"": [10, 20], ""counts"": [20.5, 9, 171]}",cup\n', 'counts must hold whole numbers'),
    (HEAD + 'a.jpg,"{""size"": [10.9, 20], ""counts"": [20, 9, 171]}",cup\n', 'size must hold whole numbers'),
    (HEAD + 'a.jpg,"[[2,1,6,1,6,5]]",\n', 'objects have no expression'),
    (HEAD + 'a.jpg,"' + 'x' * 200000 + '",cup\n', 'is no CSV'),
    (HEAD, 'nothing that an expression refers to'),
])
def test_csv(source, content, message):
    (source / 'x.csv').write_bytes(content if isinstance(content, bytes) else content.encode())
    refuse('table', source, message)


def test_parquet(source):
    pyarrow, parquet = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')

    def write(**row):
        parquet.write_table(pyarrow.Table.from_pylist([row]), source / 'x.parquet')

    write(image='a.jpg', mask='none', expression='x')
    content = (source / 'x.parquet').read_bytes()
    for broken in (content[:-20], b'PAR1' + bytes(200), content[:4] + b'x' * (len(content) - 8) + b'PAR1'):
        (source / 'x.parquet').write_bytes(broken)
        refuse('table', source, 'no whole Parquet file')
    write(image='a.jpg', mask='none')
    refuse('table', source, 'no column of the expression')
    write(image={'bytes': b'no image', 'path': None}, mask='none', expression='x')
    refuse('table', source, 'the image')
    write(image={'bytes': None, 'path': None}, mask='none', expression='x')
    refuse('table', source, 'must name an image')
    write(image='a.jpg', mask=7, expression='x')
    refuse('table', source, 'segmentation must be polygons or an RLE')
    write(image='a.jpg', mask=[[2.0, 1.0, float('nan'), 1.0, 6.0, 5.0]], expression='x')
    refuse('table', source, 'finite')


@pytest.mark.parametrize(('bound', 'least', 'column', 'message'), [
    ('MAX_ROWS', 100, lambda pa: pa.nulls(100, pa.string()), 'unfolds to 100 rows; at most 99'),
    ('MAX_VALUES', 600, lambda pa: pa.array([[0.0, 0.0, 0.0]] * 100), 'unfolds to 600 values'),  # of all columns
    ('MAX_UNFOLDED_BYTES', 1 << 16, lambda pa: pa.array(['x' * (1 << 16)]), 'unfolds to [0-9]+ bytes'),
    # A long value that repeats takes no room in the file.
    ('MAX_AT_ONCE', 50 << 16, lambda pa: pa.array(['x' * (1 << 16)] * 50), '50 of its rows have 32[0-9]+ bytes'),
    ('MAX_AT_ONCE', 50 << 16, lambda pa: pa.array([['x' * (1 << 16)] * 50]), '1 of its rows have 32[0-9]+ bytes'),
    ('MAX_AT_ONCE', 50 << 16, lambda pa: pa.array([{'a': 'x' * (1 << 16)}] * 50), '50 of its rows have 32[0-9]+ bytes'),
    ('MAX_AT_ONCE', 50 << 16, lambda pa: pa.array([[('k', 'x' * (1 << 16))] * 50], pa.map_(pa.string(), pa.string())),
     '1 of its rows have 32[0-9]+ bytes'),
], ids=str)
def test_parquet_that_unfolds(source, monkeypatch, bound, least, column, message):
    pyarrow, parquet = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
    from mmrefseg.datasets.importing import bounded_parquet
    values = column(pyarrow)
    parquet.write_table(pyarrow.table({
        'image': ['a.jpg'] * len(values), 'mask': ['none'] * len(values), 'expression': ['x'] * len(values),
        'other': values}), source / 'x.parquet')
    assert (source / 'x.parquet').stat().st_size < 1 << 16
    with (source / 'x.parquet').open('rb') as file:
        batch = next(bounded_parquet.bounded_batches(file))
    assert pyarrow.types.is_dictionary(batch.column('image').type), 'what repeats must not be unfolded to be counted'
    assert run('table', source)
    monkeypatch.setattr(bounded_parquet, bound, least - 1)
    refuse('table', source, message)


def run(kind, source):
    """Import into a folder that is removed again."""
    out = source.parent / 'out'
    made = import_annotations(kind, source, out)
    shutil.rmtree(out)
    return made


class Attack:
    def __reduce__(self):
        return print, ('executed', )


def refs(**changes):
    return [{'ref_id': 1, 'image_id': 1, 'ann_id': 7, 'split': 'train', 'sentences': [{'sent': 'cup'}], **changes}]


@pytest.mark.parametrize(('content', 'message'), [
    (pickle.dumps(Attack(), 2), 'refs|import|pickle'),
    (pickle.dumps(refs(), 2)[:-30], 'refs|cut|pickle'),
    (pickle.dumps({'refs': refs()}, 2), 'must hold a list of refs'),
    (pickle.dumps([5], 2), r'refs\[0\]'),
    (pickle.dumps(refs(image_id=9), 2), 'image_id is none of the images'),
    (pickle.dumps(refs(image_id=None), 2), 'image_id'),
    (pickle.dumps(refs(ann_id=8), 2), 'ann_id 8 is none of the annotations'),
    (pickle.dumps(refs(ann_id={}), 2), 'ann_id'),
    (pickle.dumps(refs(sentences=5), 2), 'sentences must be words'),
    (pickle.dumps(refs(sentences=[]), 2), 'objects have no expression'),
    (pickle.dumps(refs(split='../../x'), 2), 'split'),
])
def test_refcoco(source, content, message, capsys):
    (source / 'instances.json').write_text(json.dumps({
        'images': [{'id': 1, 'file_name': 'a.jpg', 'height': 10, 'width': 20}],
        'annotations': [{'id': 7, 'image_id': 1, 'segmentation': [SQUARE]}]}))
    (source / 'refs(unc).p').write_bytes(content)
    refuse('refcoco', source, message)
    assert 'executed' not in capsys.readouterr().out


def test_refcoco_without_outlines(source):
    (source / 'refs(unc).p').write_bytes(pickle.dumps(refs(), 2))
    refuse('refcoco', source, 'instances.json is missing')
    (source / 'instances.json').write_text('{"images": []')
    refuse('refcoco', source, 'instances.json')
    (source / 'instances.json').write_text('{"images": []}')
    refuse('refcoco', source, 'annotations')
