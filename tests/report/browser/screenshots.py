"""Pictures of an HTML report: light, dark, on a phone, and its first charts alone.

Usage: screenshots.py REPORT.html FOLDER
"""
import pathlib
import sys

import chromium


def main():
    program = chromium.find()
    if not program:
        sys.exit("no Chromium (Debian: chromium-headless-shell)")
    page, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with chromium.Chromium(program) as browser:
        for name, how in (("light", {}), ("dark", {"dark": True}), ("phone", {"width": 390, "height": 844})):
            browser.open(page, **how)
            browser.screenshot(folder / f"{name}.png", whole=False)
            browser.screenshot(folder / f"{name}-whole.png", whole=True)
            for selector in ("#decision", ".charts"):
                box = browser.evaluate(f"(() => {{ const box = document.querySelector('{selector}')?.getBoundingClientRect();"
                                       "return box && {x: box.x, y: box.y + scrollY, width: box.width, height: box.height}; })()")
                if box:
                    browser.screenshot(folder / f"{name}-{selector[1:]}.png", clip=box)


if __name__ == "__main__":
    main()
