"""Find the submissions in a folder or a zip, as learning platforms and mail give them.

Known shapes: Moodle's folders and files ``Name_12345_assignsubmission_file_``, Canvas's files
``doejane_LATE_12345_67890_attention-1.ipynb``, nbgrader's ``submitted/ID/LAB/LAB.ipynb``, mails
(``.eml``), a folder for each learner, loose files. Zips may lie in zips. The last submission
of a learner counts.
"""

from __future__ import annotations

import datetime
import email
import email.policy
import email.utils
import io
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

MAX_FILE, MAX_FILES, MAX_DEPTH = 30 * 2**20, 20_000, 3
_MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_(?:assignsubmission_\w+?|onlinetext)_?(?=$|[/_])")
_MOODLE_FILE = re.compile(r"^(?P<name>[^/]+?)_(?P<id>\d+)_assignsubmission_file_(?P<file>.+)$")
_CANVAS = re.compile(
    r"^(?P<name>[^_/]+)(?P<late>_LATE)?_(?P<id>\d+)_(?P<sub>\d+)_(?P<file>.+?)"
    r"(?:-(?P<again>\d+))?\.(?:ipynb|zip)$"
)
_SKIPPED = re.compile(r"(^|/)(\.ipynb_checkpoints|__MACOSX|\.git|\.venv)(/|$)|(^|/)\._")


@dataclass(frozen=True)
class Submission:
    """One notebook file of one learner.

    `learner` identifies; `platform_id` is the number that Moodle or Canvas gave (or ""); `when`
    is the local time of handing in as far as the source tells it, else None; `late` is what the
    platform says (Canvas), else None.
    """

    learner: str
    name: str
    platform: str
    platform_id: str
    file: str
    data: bytes
    when: datetime.datetime | None = None
    late: bool | None = None
    attempt: int = 0
    replaced: int = 0


def collect(source: Path, lab: str, strict: bool = False) -> tuple[list[Submission], list[str]]:
    """The last submission of each learner for `lab`, by name, and remarks on the rest.

    `strict` leaves out files that neither by name nor by content tell their lab.

    Raises ValueError where nothing at all can be found.
    """
    if not source.exists():
        raise ValueError(f"there is no folder or file {source}")
    remarks: list[str] = []
    found = [_submission(path, data, when, lab) for path, data, when in _files(source, remarks)]
    mine = [s for s in found if s and _for_lab(s, lab, strict)]
    others = len([s for s in found if s]) - len(mine)
    if others and not strict:
        remarks.append(f"{others} notebooks are not of the lab {lab} and were left out.")
    if not mine:
        raise ValueError(
            f"{source} holds no submission of the lab {lab}; wanted are notebooks (.ipynb), mails "
            "(.eml) or zips of them, named as Moodle, Canvas or nbgrader name them, or one folder "
            "for each learner"
        )
    last: dict[str, Submission] = {}
    for one in sorted(mine, key=_age):
        before = last.get(one.learner)
        last[one.learner] = replace(one, replaced=before.replaced + 1 if before else 0)
    return [last[key] for key in sorted(last)], remarks


def _age(one: Submission) -> tuple:
    start = datetime.datetime(1980, 1, 1)
    return (one.when or start, one.attempt, one.file)


def _files(source: Path, remarks: list[str]) -> Iterator[tuple[str, bytes, datetime.datetime]]:
    """Paths inside `source`, the bytes and the time of each notebook and mail."""
    paths = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    for count, path in enumerate(paths):
        name = path.name if source.is_file() else path.relative_to(source).as_posix()
        if _SKIPPED.search(name) or path.is_symlink() or count > MAX_FILES:
            continue
        kind = path.suffix.lower()
        if kind not in (".ipynb", ".eml", ".zip", ".json") or _too_big(path, name, remarks):
            continue
        when = datetime.datetime.fromtimestamp(path.stat().st_mtime)
        stamp = path.parent / "timestamp.txt"  # nbgrader's
        when = (_stamp(stamp.read_text(errors="replace")) if stamp.is_file() else None) or when
        data = path.read_bytes()
        if kind == ".zip":
            yield from _zipped(data, "" if source.is_file() else f"{name}/", remarks, 1)
        else:
            yield name, data, when


def _too_big(path: Path, name: str, remarks: list[str]) -> bool:
    limit = 2 * 2**30 if path.suffix.lower() == ".zip" else MAX_FILE
    if path.stat().st_size > limit:
        remarks.append(f"{name} is too large ({path.stat().st_size / 2**20:.0f} MB): left out.")
        return True
    return False


def _zipped(
    data: bytes, folder: str, remarks: list[str], depth: int
) -> Iterator[tuple[str, bytes, datetime.datetime]]:
    """The same for a zip, read in memory: nothing is unpacked onto the disk."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        remarks.append(f"{folder.rstrip('/') or 'The file'} is no zip ({error}): left out.")
        return
    with archive:
        stamps = {str(PurePosixPath(i.filename).parent): i for i in archive.infolist()
                  if PurePosixPath(i.filename).name == "timestamp.txt"}  # fmt: skip
        for info in archive.infolist()[:MAX_FILES]:
            kind, name = PurePosixPath(info.filename).suffix.lower(), folder + info.filename
            if info.is_dir() or kind not in (".ipynb", ".eml", ".zip") or _SKIPPED.search(name):
                continue
            if info.file_size > MAX_FILE:
                remarks.append(f"{name} is too large when unpacked: left out.")
                continue
            try:
                inner = archive.read(info)
                stamp = stamps.get(str(PurePosixPath(info.filename).parent))
                told = archive.read(stamp).decode(errors="replace") if stamp else ""
            except (RuntimeError, OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
                remarks.append(f"{name} cannot be unpacked (password? damaged?): left out.")
                continue
            if kind == ".zip" and depth < MAX_DEPTH:
                yield from _zipped(inner, f"{name}/", remarks, depth + 1)
            elif kind != ".zip":
                when = datetime.datetime(*(max(info.date_time[0], 1980), *info.date_time[1:]))
                yield name, inner, _stamp(told) or when


def _stamp(text: str) -> datetime.datetime | None:
    match = re.match(
        r"\s*(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d)(?:\.\d+)?\s*(UTC|Z|[+-]\d\d:?\d\d)?", text
    )
    if not match:
        return None
    when = datetime.datetime.fromisoformat(match[1])
    if match[2]:
        zone = "+00:00" if match[2] in ("UTC", "Z") else match[2]
        when = (
            datetime.datetime.fromisoformat(f"{match[1]}{zone}").astimezone().replace(tzinfo=None)
        )
    return when


def _submission(path: str, data: bytes, when: datetime.datetime, lab: str) -> Submission | None:
    if path.lower().endswith(".eml"):
        return _mail(path, data, lab)
    parts = path.split("/")
    for part in parts:
        match = _MOODLE_FILE.match(part) or (part != parts[-1] and _MOODLE.match(part))
        if match:
            file = match.groupdict().get("file") if part == parts[-1] else parts[-1]
            return _made(match["id"], match["name"], "moodle", match["id"], file, data, when)
        match = _CANVAS.match(part)
        if match:
            file = match["file"] if part == parts[-1] else parts[-1]
            one = _made(match["id"], match["name"], "canvas", match["id"], file, data, when)
            return replace(one, late=bool(match["late"]), attempt=int(match["again"] or 0))
    if len(parts) >= 3 and parts[-2].replace("_", "-") == lab:  # nbgrader: ID/LAB/LAB.ipynb
        return _made(parts[-3], parts[-3], "nbgrader", "", parts[-1], data, when)
    around = [p for p in parts[:-1] if p.lower() not in ("submitted", "submissions", lab)]
    folders = [p for p in around if not p.lower().endswith(".zip")]
    person = _person(PurePosixPath(parts[-1]).stem, lab)
    if folders or (around and not person):  # a zip of one learner's is as good as a folder
        who = folders[-1] if folders else PurePosixPath(around[-1]).stem
        return _made(who, who, "folder", "", parts[-1], data, when)
    who = person or PurePosixPath(parts[-1]).stem
    return _made(who, who, "file", "", parts[-1], data, when)


def _person(stem: str, lab: str) -> str:
    """Whom a loose file is from: its name without the lab's and without a copy's number."""
    text = re.sub(re.escape(lab).replace(r"\-", "[-_ ]"), "", stem, flags=re.I)
    return re.sub(r"\s*\(\d+\)|[-_ ]copy\b", "", text, flags=re.I).strip(" -_.,")


def _mail(path: str, data: bytes, lab: str) -> Submission | None:
    """The notebook attached to a mail; the sender's address is the learner's id."""
    message = email.message_from_bytes(data, policy=email.policy.default)
    name, address = email.utils.parseaddr(str(message.get("From", "")))
    try:
        when = email.utils.parsedate_to_datetime(str(message.get("Date")))
        when = when.astimezone().replace(tzinfo=None) if when.tzinfo else when
    except (TypeError, ValueError):
        when = None
    for part in message.walk():
        file = part.get_filename() or ""
        if file.lower().endswith(".ipynb"):
            content = part.get_payload(decode=True) or b""
            who = address or PurePosixPath(path).stem
            return Submission(_key(who), name or who, "mail", "", file, content, when)
    return None


def _made(
    who: str, name: str, platform: str, number: str, file: str, data: bytes, when: datetime.datetime
) -> Submission:
    return Submission(_key(who), name.strip(), platform, number, file, data, when)


def _key(text: str) -> str:
    """An id that can name a folder and nbgrader's student: letters, digits, ``@ . _ -``."""
    key = re.sub(r"[^\w@.\-]+", "-", text.strip(), flags=re.UNICODE).strip("-.")
    return key[:80] or "unnamed"


def _for_lab(one: Submission, lab: str, strict: bool) -> bool:
    """Whether a file is of this lab: by its name, or by the lab's cells in it."""
    wanted = re.sub(r"[-_ ]", "", lab).lower()
    if wanted in re.sub(r"[-_ ]", "", one.file).lower():
        return True
    module = lab.replace("-", "_").encode()
    if b"check." + module + b"." in one.data or (
        b"everything(" in one.data and wanted.encode() in one.data
    ):
        return True
    other = re.search(rb"check\.([a-z_]+)\.\w+\(", one.data)
    return (
        other is None and not strict
    )  # no lab's check lines at all: this learner's only try, so it is graded


def hours_late(one: Submission, due: datetime.datetime | None) -> float | None:
    """Hours after `due` (0 when in time); None where nothing says when it was handed in."""
    if due is None or one.when is None:
        return None
    return round(max((one.when - due).total_seconds() / 3600, 0.0), 2)
