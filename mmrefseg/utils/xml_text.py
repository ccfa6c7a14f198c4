"""The one way in which XML of others is read."""
from __future__ import annotations

from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from mmrefseg.errors import InputError

_DEEPEST = 16


def parse_xml(content: bytes | str) -> Element:
    """The root of XML that declares no entities: these may unfold without end, or name other files.

    Args:
        content: the whole file.

    Raises:
        InputError: it is no whole XML, has a document type (by which entities are declared), or is nested without end;
            half a sentence that says it.
    """
    builder, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise InputError(f'its elements are nested more than {_DEEPEST} deep')
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise InputError('it declares a document type (DOCTYPE), which may unfold without end')

    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(content, True)
        return builder.close()
    except InputError:
        raise
    except (expat.ExpatError, ParseError, LookupError, ValueError) as error:  # the latter, of its encoding
        raise InputError(f'it is not a whole XML file ({error})') from error
