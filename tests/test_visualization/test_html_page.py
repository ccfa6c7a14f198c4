"""Pages that need no other file."""
import base64
import re

import cv2
import numpy as np

from mmrefseg.visualization import overlay_mask, tint_mask
from mmrefseg.visualization.html_page import Markup, html_table, page, text, thumbnail


def test_texts_stay_texts():
    for hostile in ('<script>alert(1)</script>', '" onload="x', '</bdi><img src=x>', '🦊', 'الكأس الأحمر'):
        shown = text(hostile)
        assert '<' not in shown.removeprefix('<bdi>').removesuffix('</bdi>') and '"' not in shown
    assert text('a & b') == '<bdi>a &amp; b</bdi>' and text(3) == '<bdi>3</bdi>' and text(Markup('<b>')) == '<b>'


def test_page_and_table():
    shown = page('<title>', [html_table(('a', '<b>'), [('<i>', 1), (Markup('<br>'), 'x')])], 'i{}', 'f()')
    assert '<title>&lt;title&gt;</title>' in shown and '<h1>&lt;title&gt;</h1>' in shown
    assert '<th>a<th>&lt;b&gt;' in shown and '<td><bdi>&lt;i&gt;</bdi><td><bdi>1</bdi>' in shown and '<td><br>' in shown
    assert "default-src 'none'" in shown and '<script>f()</script>' in shown and 'i{}</style>' in shown
    assert '<th>' not in html_table((), [(1, )]) and '<script>' not in page('', [])


def test_thumbnail():
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, 20:] = 200, 30, 90
    shown = thumbnail(image, 95)
    assert 'width="40" height="20"' in shown
    content = np.frombuffer(base64.b64decode(re.search('base64,(.*?)"', shown)[1]), np.uint8)
    decoded = cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(int)
    assert np.abs(decoded - image)[:, [5, 35]].max() < 12


def test_masks_by_hand():
    """Half of the colour within, all of it on the outline, white beside that, and the rest as it was."""
    image, mask = np.full((40, 40, 3), 100, np.uint8), np.zeros((40, 40), np.uint8)
    mask[10:30, 10:30] = 1
    tinted = tint_mask(image, mask, '#ff0032', 0.5)
    assert (tinted[20, 20] == (178, 50, 75)).all() and (tinted[5, 5] == 100).all()
    drawn = overlay_mask(image, mask, '#ff0032', 0.5)
    assert (drawn[20, 20] == (178, 50, 75)).all() and (drawn[5, 5] == 100).all()
    assert (drawn[20, 10] == (255, 0, 50)).all() and (drawn[20, 7] > 140).all()
    assert (overlay_mask(image, mask, opacity=0)[20, 20] == 100).all() and (image == 100).all()
