#!/usr/bin/env python3
"""Makes every kind of page from small real runs and opens each in a browser as people do.

Each page is opened 390 and 1,280 pixels wide, light and dark. Checked: nothing is wider than the screen, the
console has no error, nothing is fetched, every chart can be seen and has a role and a name, tables have captions
and headings with scope, every text has a contrast of at least 4.5 : 1, what scrolls or is clicked is reached by
the keyboard with a visible focus, a cell of a heat map opens its cases, and axe-core (WCAG 2.1 A and AA and its
best practices) finds nothing.

    python3 -m venv venv && venv/bin/pip install playwright axe-playwright-python
    apt-get install chromium
    venv/bin/python tools/check_pages.py build/longspan --screens /tmp/screens
"""

import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")

PLACES = {"needle": "needle/report.html", "diff": "diff.html", "ruler": "ruler/report.html",
          "short": "short/report.html", "compare": "compare/compare.html", "attention": "attention/attention.html",
          "corpus": "corpus/corpus.html", "train": "train/report.html", "without-gnuplot": "bare/report.html"}

# What a page must hold, as a list of faults. Runs in the page.
CHECKS = r"""
() => {
  const faults = [], name = e => e.outerHTML.slice(0, 120);
  const seen = e => e.getClientRects().length > 0;
  if (document.documentElement.scrollWidth > innerWidth)
    faults.push('wider than the screen: ' + document.documentElement.scrollWidth + ' pixels');
  if (document.documentElement.lang !== 'en') faults.push('no language');
  if (document.querySelectorAll('main h1').length !== 1) faults.push('not one main heading');
  for (const svg of document.querySelectorAll('svg')) {
    const box = svg.getBoundingClientRect();
    if (box.width < 200 || box.height < 60) faults.push('a chart cannot be seen: ' + name(svg));
    if (svg.getAttribute('role') !== 'img' || !svg.getAttribute('aria-label') || !svg.querySelector('title'))
      faults.push('a chart without role, name or title: ' + name(svg));
  }
  for (const img of document.querySelectorAll('img')) if (!img.alt) faults.push('a picture without alt');
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption || !table.caption.textContent.trim()) faults.push('a table without a caption: ' + name(table));
    for (const th of table.querySelectorAll('th')) if (!th.scope) faults.push('th without scope: ' + name(th));
  }
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of new Set(ids)) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push('two elements with id ' + id);
  // Contrast of every text with what lies behind it: WCAG 2.1, also inside charts, where axe does not look.
  const rgb = c => { const m = c.match(/[\d.]+/g).map(Number); return {rgb: m.slice(0, 3), alpha: m[3] ?? 1}; };
  const luminance = c => c.map(x => x / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4)
      .reduce((sum, x, i) => sum + x * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05); };
  const behind = e => {
    for (let at = e; at; at = at.parentElement) {
      const c = rgb(getComputedStyle(at).backgroundColor);
      if (c.alpha > 0.99) return c.rgb;
    }
    return [255, 255, 255];
  };
  const check = (e, colour, paper) => {
    const ratio = contrast(rgb(colour).rgb, paper);
    if (ratio < 4.5) faults.push('contrast ' + ratio.toFixed(2) + ': ' + name(e));
  };
  for (const e of document.querySelectorAll('main *')) {
    if (!seen(e) || e.closest('svg')) continue;
    if ([...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
      check(e, getComputedStyle(e).color, behind(e));
  }
  for (const svg of document.querySelectorAll('svg')) {
    const paper = rgb(getComputedStyle(svg.querySelector('rect')).fill).rgb;
    for (const text of svg.querySelectorAll('text'))
      if (text.textContent.trim()) check(text, getComputedStyle(text).fill, paper);
    const px = Math.min(...[...svg.querySelectorAll('text')].filter(t => t.textContent.trim()).map(t => t.getBoundingClientRect().height));
    if (px < 8) faults.push('text of ' + px.toFixed(1) + ' pixels in ' + name(svg));
  }
  for (const e of document.querySelectorAll('main *'))
    if (seen(e) && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).overflowX === 'auto' && e.tabIndex < 0)
      faults.push('scrolls, but not by keyboard: ' + name(e));
  return faults;
}
"""


def story(words: int, seed: int) -> str:
    chance = random.Random(seed)
    names = "river stone winter letter garden engine captain morning village silver".split()
    verbs = "follows remembers carries leaves answers watches".split()
    return " ".join(f"The {chance.choice(names)} {chance.choice(verbs)} the {chance.choice(names)}."
                    for _ in range(words // 5))


class Runs:
    """Small real runs of the program; each gives a page."""

    def __init__(self, program: str, model: str, folder: pathlib.Path):
        self.program, self.model, self.folder = program, model, folder
        (folder / "text.txt").write_text(story(9000, 1))
        (folder / "other.txt").write_text(story(2000, 2))

    def run(self, *arguments: str, environment: dict | None = None) -> None:
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True,
                              env={**os.environ, **(environment or {})})
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")

    def make(self) -> None:
        text, model = "text.txt", self.model
        needle = ("eval", "needle", model, "--haystack", text, "--lengths", "512,1024", "--depths", "3",
                  "--set", "new_tokens=12", "-q")
        self.run(*needle, "-o", "needle")
        self.run(*needle, "--position", "linear:factor=2", "-o", "needle2")
        self.run("eval", "diff", "needle", "needle2", "-o", "diff.html", "-q")
        self.run("eval", "ruler", model, "--lengths", "1024", "--limit", "1", "-q", "-o", "ruler")
        self.run("eval", "short", model, "--limit", "2", "-q", "-o", "short")
        self.run("compare", model, "--file", text, "--methods", "none,linear,yarn,self_extend", "--lengths",
                 "512,1024", "--tail", "128", "--windows", "2", "--passkeys", "2", "-q", "-o", "compare")
        self.run("attention", model, "--file", text, "--length", "600", "--queries", "64", "-q", "-o", "attention")
        self.run("corpus", "stats", "--model", model, text, "other.txt", "-q", "-o", "corpus")
        (self.folder / "recipe.toml").write_text(f"""name = "a small run"
source = "check_pages.py"
model = "{model}"
output = "train"
[trained]
lora_rank = 4
[validation]
steps = 10
files = ["other.txt"]
lengths = [128]
windows = 1
[[stage]]
name = "only"
length = 64
batch_tokens = 64
steps = 110
lr = 1e-4
[[stage.text]]
files = ["text.txt"]
""")
        self.run("train", "recipe.toml", "--set", "stage.0.lr=2e-4", "-q")
        shutil.copytree(self.folder / "needle2", self.folder / "bare", dirs_exist_ok=True)
        for old in [*(self.folder / "bare").glob("*.svg"), *(self.folder / "bare").glob("*.png")]:
            old.unlink()
        self.run("eval", "report", "bare", "-q", environment={"PATH": "/nowhere"})

    def pages(self) -> dict[str, pathlib.Path]:
        return {name: self.folder / place for name, place in PLACES.items()}


def keyboard_faults(page) -> list[str]:
    """Walks with the Tab key: the focus must be seen wherever it stands."""
    faults = []
    for _ in range(25):
        page.keyboard.press("Tab")
        outline = page.evaluate("""() => { const e = document.activeElement;
            return e === document.body ? null : [getComputedStyle(e).outlineStyle, e.outerHTML.slice(0, 100)]; }""")
        if outline and outline[0] == "none":
            faults.append(f"focus cannot be seen: {outline[1]}")
    return faults


def dialog_faults(page, axe) -> list[str]:
    """A cell of a heat map, or a line of the list of cases, opens its cases; Escape closes them."""
    button = page.locator("button[data-grid], .list button").first
    if button.count() == 0:
        return []
    button.scroll_into_view_if_needed()
    button.focus()
    page.keyboard.press("Enter")
    if not page.locator("dialog[open]").count():
        return ["a cell opens nothing"]
    faults = ["" if page.locator("dialog h2").count() else "an opened cell shows no case"]
    faults += [f"axe, opened case: {v['id']}: {v['help']}" for v in axe.run(page).response["violations"]]
    page.keyboard.press("Escape")
    if page.locator("dialog[open]").count():
        faults.append("Escape does not close the cases")
    return [fault for fault in faults if fault]


def check(browser, name: str, file: pathlib.Path, screens: pathlib.Path | None) -> list[str]:
    faults, axe = [], Axe()
    for width in WIDTHS:
        for scheme in SCHEMES:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            said = []
            page.on("console", lambda m: said.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda e: said.append(str(e)))
            page.on("request", lambda r: said.append(f"fetches {r.url}") if not r.url.startswith(("file:", "data:"))
                    else None)
            page.goto(file.as_uri())
            found = said + page.evaluate(CHECKS) + keyboard_faults(page)
            found += [f"axe: {v['id']} ({len(v['nodes'])} times): {v['help']}: {v['nodes'][0]['html'][:150]}"
                      for v in axe.run(page).response["violations"]]
            if screens:
                page.evaluate("() => { document.activeElement.blur(); scrollTo(0, 0); }")
                page.screenshot(path=screens / f"{name}-{width}-{scheme}.png", full_page=True)
                if scheme == "light":
                    session = page.context.new_cdp_session(page)
                    session.send("Emulation.setEmulatedVisionDeficiency", {"type": "deuteranopia"})
                    page.screenshot(path=screens / f"{name}-{width}-deuteranopia.png", full_page=True)
                    session.send("Emulation.setEmulatedVisionDeficiency", {"type": "none"})
            page.evaluate("() => document.querySelectorAll('details').forEach(d => d.open = true)")
            found += [fault for fault in page.evaluate(CHECKS) if fault not in found]
            found += dialog_faults(page, axe)
            if screens and page.locator("button[data-grid]").count():
                page.locator("button[data-grid]").first.click()
                page.screenshot(path=screens / f"{name}-{width}-{scheme}-case.png")
            faults += [f"{name}, {width} pixels, {scheme}: {fault}" for fault in dict.fromkeys(found)]
            page.close()
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=pathlib.Path, help="build/longspan")
    parser.add_argument("--model", default="smollm2", help="a small model; default smollm2")
    parser.add_argument("--pages", type=pathlib.Path, help="folder of an earlier --keep: check its pages")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the runs; default: none is kept")
    parser.add_argument("--screens", type=pathlib.Path, help="folder for screenshots")
    parser.add_argument("--browser", default=shutil.which("chromium"), help="path of chromium")
    arguments = parser.parse_args()
    if arguments.screens:
        arguments.screens.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.pages or arguments.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        runs = Runs(str(arguments.program.resolve()), arguments.model, folder.resolve())
        if not arguments.pages:
            runs.make()
        pages = runs.pages()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=arguments.browser, args=["--no-sandbox"])
            faults = [fault for name, file in pages.items() for fault in check(browser, name, file, arguments.screens)]
            browser.close()
    print("\n".join(faults))
    print(f"{len(pages)} pages, {len(WIDTHS) * len(SCHEMES)} screens each: "
          + (f"{len(faults)} faults" if faults else "no fault"))
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
