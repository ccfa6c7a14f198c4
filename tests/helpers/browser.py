"""A headless Chromium, driven by its DevTools protocol."""
import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')


class Page:
    """The one page of a browser.

    Attributes:
        errors: exceptions and failed requests of the page.
    """

    def __init__(self, connection: Any) -> None:
        self._connection, self._number, self.errors = connection, 0, []
        for domain in ('Page', 'Runtime', 'Network', 'DOM', 'Log'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **params: Any) -> dict:
        """Call a method of the protocol."""
        self._number += 1
        self._connection.send(json.dumps(dict(id=self._number, method=method, params=params)))
        while (message := json.loads(self._connection.recv())).get('id') != self._number:
            if message['method'] == 'Runtime.exceptionThrown' or (
                    message['method'] == 'Log.entryAdded' and message['params']['entry']['level'] == 'error'):
                self.errors.append(message['params'])
        assert 'error' not in message, message
        return message['result']

    def run(self, script: str) -> Any:
        """The value of an expression in JavaScript, awaited."""
        result = self.call('Runtime.evaluate', expression=script, awaitPromise=True, returnByValue=True)
        assert 'exceptionDetails' not in result, result
        return result['result'].get('value')

    def wait(self, script: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < deadline, script
            time.sleep(0.05)

    def open(self, address: str) -> None:
        """Go to an address and wait for all of it."""
        self.call('Page.navigate', url=address)
        self.wait(f'location.href.startsWith({json.dumps(address)}) && document.readyState === "complete"')

    def size(self, width: int, height: int, is_phone: bool = False) -> None:
        """Set the window's size in pixels."""
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1,
                  mobile=is_phone)

    def click(self, selector: str) -> None:
        """Click into the middle of an element with the mouse."""
        self.run(f'document.querySelector({json.dumps(selector)}).scrollIntoView({{block: "center"}})')
        x, y = self.run(f'(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({json.dumps(selector)})'
                        '.getBoundingClientRect())')
        for kind in ('mousePressed', 'mouseReleased'):
            self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

    def key(self, key: str, code: int, modifiers: int = 0) -> None:
        """Press a key, such as Tab or Enter."""
        text = {'Enter': '\r', ' ': ' '}.get(key) if not modifiers else None
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, code=key, windowsVirtualKeyCode=code,
                      modifiers=modifiers, **(dict(text=text) if text and kind == 'keyDown' else {}))

    def type(self, text: str) -> None:
        """Type where the cursor is."""
        self.call('Input.insertText', text=text)

    def choose(self, selector: str, path: Path) -> None:
        """Choose a file."""
        root = self.call('DOM.getDocument')['root']['nodeId']
        node = self.call('DOM.querySelector', nodeId=root, selector=selector)['nodeId']
        self.call('DOM.setFileInputFiles', files=[str(path)], nodeId=node)

    def screenshot(self, path: Path) -> None:
        """Draw the whole page."""
        content = self.call('Page.captureScreenshot', captureBeyondViewport=True)['data']
        Path(path).write_bytes(base64.b64decode(content))


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """Start Chromium; what it downloads goes to ``folder``."""
    import websocket
    profile = folder / 'profile'
    command = [CHROMIUM, '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run',
               '--disable-background-networking', '--remote-debugging-port=0', '--remote-allow-origins=*',
               f'--user-data-dir={profile}', 'about:blank']
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not (profile / 'DevToolsActivePort').exists() or '\n' not in (profile / 'DevToolsActivePort').read_text():
            assert process.poll() is None and time.monotonic() < deadline, 'Chromium does not start'
            time.sleep(0.05)
        port = (profile / 'DevToolsActivePort').read_text().split()[0]
        while not (pages := [page for page in json.load(urlopen(f'http://127.0.0.1:{port}/json'))
                             if page['type'] == 'page']):
            time.sleep(0.05)
        connection = websocket.create_connection(pages[0]['webSocketDebuggerUrl'], timeout=60)
        page = Page(connection)
        page.call('Browser.setDownloadBehavior', behavior='allow', downloadPath=str(folder))
        yield page
        connection.close()
    finally:
        process.kill()
        process.wait()
