#!/usr/bin/env python3
"""A whole visit to the server's page, with a real server and model, in a browser as people use it.

A PDF is dropped, asked about, a passage is jumped to, a second question begins where the document ends; an answer is
stopped, a question edited, the page loaded again with its history; English and Chinese, light and dark, desktop and
phone. Checked throughout: no error and no violation of the Content-Security-Policy in the console, nothing fetched from
elsewhere, nothing wider than the screen, everything reached by keyboard, and axe-core (WCAG 2.1 A and AA) finds nothing.

    python3 -m venv venv && venv/bin/pip install playwright axe-playwright-python
    apt-get install chromium
    venv/bin/python tools/check_page.py build/longspan smollm2 --pictures docs
"""

import argparse
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

PAGES = ["""The harbour of Stavik was built by Marta Lindqvist between 1871 and 1879. Its breakwater is 412 metres long and rests on granite
from the island of Hod. The work was paid for by the merchants of the town, who had lost nine ships in the storm of 1868.""",
         """The lighthouse keeper was called Anders Brun. He kept a diary for forty years, in which he noted every ship that passed. The diary
is kept in the town museum and fills thirty-one volumes bound in green cloth.""",
         """The harbour railway opened in 1902 and carried herring to the capital. It was closed in 1964, when lorries had become cheaper. Its
old station is a restaurant today, and the engine stands in front of it."""]
FILLER = "The tide came in and went out, and the boats in the harbour rose and fell with it, as they had done on every other day of that year. "

HOSTILE = """# <img src=x onerror="window.bad=1">
<script>window.bad=1</script> [click](javascript:window.bad=1) ![p](http://example.org/x.png) **b `c`** [ok](https://example.org/a)

| a | <b>b</b> |
|---|---|
| 1 | 2 |

- one
  - two
1. three

> quote

```
<b>code</b>
```"""


class Checks:
    def __init__(self):
        self.faults = []

    def that(self, holds, what):
        print(("  ok     " if holds else "  FAULT  ") + what, flush=True)
        if not holds:
            self.faults.append(what)


def serve(program, model, *more):
    process = subprocess.Popen([program, "serve", model, "--port", "0", "--json", "--max-answer", "60", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    text = ""
    while not text.endswith("}\n"):
        line = process.stdout.readline()
        if not line:
            sys.exit(process.stderr.read())
        text += line
    return process, json.loads(text)["url"]


def make_pdf(browser, path):
    page = browser.new_page()
    page.set_content("".join(f"<p style='break-after:page'>{text} {FILLER * 4}</p>" for text in PAGES))
    page.pdf(path=str(path))
    page.close()


def watch(page, url, checks):
    page.on("console", lambda m: checks.that(False, f"console: {m.text}") if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: checks.that(False, f"script: {e}"))
    page.on("request", lambda r: checks.that(False, f"fetched from elsewhere: {r.url}") if not r.url.startswith((url, "blob:", "data:")) else None)


def accessible(page, checks, what):
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}}).response["violations"]
    checks.that(not found, f"axe, {what}: " + (", ".join(f"{v['id']} {v['nodes'][0]['html'][:90]}" for v in found) or "nothing"))
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    checks.that(wide <= 0, f"nothing wider than the screen, {what}")


def answered(page, timeout=240_000):
    expect(page.locator("#send")).to_be_visible(timeout=timeout)


def ask(page, question):
    page.locator("#question").fill(question)
    page.keyboard.press("Enter")
    expect(page.locator("#stop")).to_be_visible()


def visit(page, url, pdf, checks):
    page.goto(url)
    expect(page.locator("#model")).to_contain_text("tokens")
    checks.that(page.locator("html").get_attribute("lang") == "en", "English by the browser's language")
    page.locator("#files").set_input_files(str(pdf))
    expect(page.locator("#documents li")).to_have_count(1, timeout=60_000)
    fill = page.locator("#fill-text").inner_text()
    checks.that(bool(re.match(r"[\d,]+ of [\d,]+ tokens of the window", fill)), f"tokens against the window: {fill}")
    accessible(page, checks, "with a document")

    page.evaluate("""() => { const e = document.getElementById('status'); window.said = [];
      new MutationObserver(() => window.said.push(e.textContent)).observe(e, {childList: true}); }""")
    ask(page, "What was the lighthouse keeper called?")
    answered(page)
    said = [s for s in page.evaluate("window.said") if s.startswith("Reading")]
    checks.that(bool(said), f"progress of the reading: {said[-1:]}")
    answer = page.locator(".answer .text").last.inner_text()
    checks.that("Anders Brun" in answer, f"the answer: {answer[:90]!r}")
    passage = page.locator(".found button").first
    line = passage.inner_text()
    checks.that("most attention" in page.locator(".found p").first.inner_text() and bool(re.match(r"[\d.]+ %, page \d: ", line)), f"a passage by attention, labelled: {line[:70]!r}")
    passage.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#reader")).to_be_visible()
    begins = line.split(": ", 1)[1][:40]
    checks.that(page.evaluate("document.activeElement.textContent.replace(/\\s+/g, ' ')").startswith(begins), "the passage is jumped to in the text")
    checks.that(page.evaluate("document.activeElement.classList.contains('hit')"), "and is marked")
    checks.that(page.evaluate("""() => { const p = document.activeElement.getBoundingClientRect(), box = document.getElementById('passages').getBoundingClientRect();
      return p.top < box.bottom - 60 && p.bottom > box.top + 60; }"""), "and can be seen")
    accessible(page, checks, "with the text of the document")


def go_on(page, url, checks):
    page.keyboard.press("Escape")
    expect(page.locator("#reader")).to_be_hidden()
    checks.that(page.evaluate("document.activeElement.closest('.found') !== null"), "Escape closes the text and the focus returns")
    start = time.time()
    ask(page, "Who built the harbour of Stavik?")
    answered(page)
    read, before = (int(n.replace(",", "")) for n in re.search(r"([\d,]+) tokens read, ([\d,]+) of them before", page.locator(".answer .tools span").last.inner_text()).groups())
    checks.that(before > read * 0.8, f"the second question begins where the text ends: {before} of {read} tokens were there, {time.time() - start:.1f} s")

    ask(page, "Tell the whole story again in many words.")
    expect(page.locator(".answer").nth(2).locator(".text")).not_to_be_empty(timeout=120_000)
    page.keyboard.press("Escape")
    answered(page)
    checks.that(page.locator(".answer .tools span").last.inner_text() == "Stopped." or "Stopped" in page.locator(".answer").last.inner_text(), "stopped by Escape, the part is kept")
    page.locator(".user button").nth(2).click()
    checks.that(page.locator("#question").input_value().startswith("Tell the whole"), "an earlier question is edited")
    ask(page, "When was the railway closed?")
    answered(page)
    checks.that(page.locator(".user").count() == 3 and "railway" in page.locator(".user .text").last.inner_text(), "it takes the place of what followed")

    page.reload()
    expect(page.locator("#history li")).to_have_count(1)
    page.locator("#history li button").first.click()
    expect(page.locator(".user")).to_have_count(3)
    expect(page.locator("#documents li")).to_have_count(1)
    checks.that(page.locator(".found button").count() >= 2, "the history came back with its document and passages")


def markdown(page, checks):
    made = page.evaluate("""async text => {
      const {markdown} = await import('/markdown.js');
      const box = document.createElement('div');
      box.append(...markdown(text));
      document.body.append(box);
      await new Promise(r => setTimeout(r, 200));
      const html = box.innerHTML;
      box.remove();
      return {html, bad: window.bad === 1};
    }""", HOSTILE)
    html = made["html"]
    checks.that(not made["bad"] and "<img" not in html and "<script" not in html and "javascript:" not in html.replace("(javascript:", ""), "hostile Markdown stays text")
    for part in ("<h4>&lt;img", "<strong>b <code>c</code></strong>", 'href="https://example.org/a"', "<th scope=\"col\">a</th>", "<li>one<ul><li>two</li></ul></li>", "<ol start=\"1\">", "<blockquote>",
                 "<code>&lt;b&gt;code&lt;/b&gt;</code>"):
        checks.that(part in html, f"Markdown: {part}")


def other_forms(browser, context, page, url, folder, checks):
    page.locator("#language").select_option("zh")
    checks.that(page.locator("#send").inner_text() == "提问" and page.locator("html").get_attribute("lang") == "zh", "Chinese")
    accessible(page, checks, "Chinese")
    page.locator("#language").select_option("en")
    page.locator("#theme").select_option("dark")
    accessible(page, checks, "dark")
    checks.that(page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 24, 28)", "dark colours")
    page.locator(".found button").first.click()
    if folder:
        page.wait_for_timeout(1000)  # the text scrolls to the passage
        page.screenshot(path=str(folder / "serve-dark.png"))
    page.keyboard.press("Escape")
    page.locator("#theme").select_option("light")
    page.locator(".found button").first.click()
    if folder:
        page.wait_for_timeout(1000)
        page.screenshot(path=str(folder / "serve-desktop.png"))
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 390, "height": 844})
    accessible(page, checks, "on a phone")
    page.locator("#menu").click()
    expect(page.locator("#drop")).to_be_visible()
    accessible(page, checks, "on a phone, menu open")
    page.locator("#menu").click()
    if folder:
        page.screenshot(path=str(folder / "serve-phone.png"))
    page.locator(".found button").first.click()
    accessible(page, checks, "on a phone, text of the document")
    page.keyboard.press("Escape")


def keyboard(page, checks):
    page.set_viewport_size({"width": 1280, "height": 800})
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.textContent.slice(0, 20)"))
    for wanted in ("language", "theme", "files", "new", "turns", "question", "send"):
        checks.that(wanted in reached, f"Tab reaches {wanted}")


def with_key(program, model, browser, scratch, checks):
    keys = pathlib.Path(scratch) / "keys"
    keys.write_text(f"sha256:{hashlib.sha256(b'secret').hexdigest()} tester\n")
    process, url = serve(program, model, "--api-key-file", str(keys))
    try:
        page = browser.new_page()
        page.goto(url)
        expect(page.locator("#key")).to_be_visible()
        accessible(page, checks, "asking for a key")
        page.locator("#key-value").fill("secret")
        page.keyboard.press("Enter")
        expect(page.locator("#model")).to_contain_text("tokens")
        checks.that(True, "a server that asks for a key gets it from the page")
    finally:
        process.terminate()
        process.wait(60)


def run(program, model, folder):
    checks = Checks()
    process, url = serve(program, model)
    try:
        with sync_playwright() as p, tempfile.TemporaryDirectory() as scratch:
            browser = p.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            pdf = pathlib.Path(scratch) / "stavik.pdf"
            make_pdf(browser, pdf)
            context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
            page = context.new_page()
            watch(page, url, checks)
            visit(page, url, pdf, checks)
            go_on(page, url, checks)
            markdown(page, checks)
            other_forms(browser, context, page, url, folder, checks)
            keyboard(page, checks)
            with_key(program, model, browser, scratch, checks)
            browser.close()
    finally:
        process.terminate()
        process.wait(60)
    print(f"{len(checks.faults)} faults")
    return 1 if checks.faults else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--pictures", type=pathlib.Path, help="folder for serve-desktop.png, serve-dark.png, serve-phone.png")
    arguments = parser.parse_args()
    sys.exit(run(arguments.program, arguments.model, arguments.pictures))
