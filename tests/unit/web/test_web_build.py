"""The committed build of the browser client, and its source, looked at without Node."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from system.signaling import page as served_page

DIST = served_page.DIST
WEB = DIST.parent
SOURCES = ("index.html", "package-lock.json", "package.json", "vite.config.ts")

_COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
_TEXT = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`", re.DOTALL)
_ESCAPE = re.compile(r"\bany\b|@ts-(?:ignore|nocheck|expect-error)")


def typescript() -> list[Path]:
    return [p for folder in ("src", "test") for p in sorted((WEB / folder).rglob("*.ts*"))]


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("web_check", WEB / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_was_built_from_the_source_beside_it() -> None:
    files = [WEB / name for name in SOURCES]
    files += [path for path in (WEB / "src").rglob("*") if path.is_file()]
    now = {
        path.relative_to(WEB).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
    lines = (DIST / "source.sha256").read_text().splitlines()
    built = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    stale = sorted(path for path in now.keys() | built.keys() if now.get(path) != built.get(path))
    assert not stale, f"run `npm run build` in system/web and commit dist/: {', '.join(stale)}"


def test_the_build_has_the_files_that_signaling_serves_and_no_others() -> None:
    served = {"index.html", *served_page.FILES}
    assert {path.name for path in DIST.iterdir()} == served | {"source.sha256"}


def test_the_page_asks_nobody_else_for_anything() -> None:
    page = (DIST / "index.html").read_text()
    links = re.findall(r"""(?:src|href)="([^"]*)\"""", page)
    assert sorted(links) == ["./app.js", "./index.css", "data:,"]
    addresses = re.findall(r"(?:\w+://|stuns?:|turns?:)[\w.]+", (DIST / "app.js").read_text())
    assert set(addresses) == {"http://www.w3.org"}  # the name of SVG
    assert "url(" not in (DIST / "index.css").read_text()


def test_the_lock_file_records_no_download_addresses() -> None:
    lock = json.loads((WEB / "package-lock.json").read_text())
    assert [name for name, package in lock["packages"].items() if "resolved" in package] == []
    assert "omit-lockfile-registry-resolved=true" in (WEB / ".npmrc").read_text()


def test_no_type_is_any_and_no_type_error_is_silenced() -> None:
    found = []
    for path in typescript():
        text = path.read_text()
        silenced = re.findall(r"@ts-(?:ignore|nocheck|expect-error)", text)
        code = _TEXT.sub("''", _COMMENT.sub("", text))
        found += [f"{path.relative_to(WEB)}: {hit}" for hit in silenced + _ESCAPE.findall(code)]
    assert len(typescript()) > 20
    assert found == []


def test_the_search_for_any_finds_one() -> None:
    code = _TEXT.sub("''", _COMMENT.sub("", "const a: any = 'any' // any\n"))
    assert _ESCAPE.findall(code) == ["any"]


def test_the_type_check_is_strict() -> None:
    options = json.loads((WEB / "tsconfig.json").read_text())["compilerOptions"]
    assert options["strict"] is True
    assert options["noUncheckedIndexedAccess"] is True


def test_without_node_the_check_says_what_is_missing(
    check: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    problem = check.node_problem()
    assert problem is not None
    assert "Node.js 20.19 or newer" in problem
    assert "committed" in problem


def test_a_build_that_differs_or_lacks_a_file_is_named(check: ModuleType, tmp_path: Path) -> None:
    committed, built = tmp_path / "committed", tmp_path / "built"
    for folder in (committed, built):
        folder.mkdir()
        (folder / "same.js").write_text("1")
        (folder / "app.js").write_text(folder.name)
    assert check.differences(committed, built) == ["app.js"]
    (built / "new.css").write_text("")
    assert check.differences(committed, built) == ["app.js", "new.css"]
