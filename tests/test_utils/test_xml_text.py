import pytest

from mmrefseg.errors import InputError
from mmrefseg.utils.xml_text import parse_xml


def test_whole_xml():
    root = parse_xml('<?xml version="1.0"?><!-- <! --><a b="1">x&amp;y<c/><![CDATA[<z>]]></a>')
    assert (root.tag, root.get('b'), root.text, [child.tag for child in root]) == ('a', '1', 'x&y', ['c'])
    assert parse_xml('<a>ä</a>'.encode('utf-16')).text == 'ä'


@pytest.mark.parametrize(('content', 'message'), [
    ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 'declares a document type'),
    ('<?x <!-- ?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><?x --> ?><a>&b;</a>', 'a document type'),
    ('<!DOCTYPE a SYSTEM "http://127.0.0.1/a.dtd"><a/>', 'declares a document type'),
    ('<a>&b;</a>', 'not a whole XML'), ('<a>' * 17, 'nested more than 16 deep'), ('<a>', 'not a whole XML'),
    ('', 'not a whole XML'),
    (b'<?xml version="1.0" encoding="nobodys"?><a/>', 'not a whole XML'), ('<a>\0</a>', 'not a whole'),
    ('<a b="1" b="2"/>', 'duplicate attribute'), ('<a>\ud800</a>', 'not a whole XML'),
])
def test_what_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        parse_xml(content)
