"""Pictures of an HTML report, light, dark and on a phone: what is seen first, all of it, the question what to rent, the charts.

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
        for name, how in (("light", {"width": 1100}), ("dark", {"width": 1100, "dark": True}), ("phone", {"width": 390, "height": 844})):
            browser.open(page, **how)
            browser.screenshot(folder / f"{name}.png")
            for selector in ("body", "#decision", ".charts"):
                if browser.evaluate(f"document.querySelector({selector!r}) !== null"):
                    browser.screenshot(folder / f"{name}-{selector.strip('#.')}.png", selector)


if __name__ == "__main__":
    main()
