"""Shut a process in, with what the platform offers, before it runs code that nobody trusts.

Three ways, tried in this order by `best`; each is probed by doing it in a process of its own:

``root``  started by root: new mount, process, network and IPC namespaces, another user id
``user``  the same in a user namespace, for everybody else (Linux that allows it)
``bare``  no namespaces: another user id where root starts it, limits, and on Linux the filter
          of system calls, which then also forbids to write or remove any file. Files that this
          user may read stay readable: weaker, and said so.

On Linux a filter of system calls (seccomp) forbids, in each way, new processes, sockets,
signals to others, mounts, namespaces and tracing.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import shutil
import struct
import sys
from typing import Any

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND = 1, 2, 4, 32, 4096
MS_REC, MS_PRIVATE, MNT_DETACH = 16384, 1 << 18, 2
NOEXEC_NOATIME, RELATIME = 8 | 1024 | 2048, 1 << 21
NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000,
)  # fmt: skip
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, PR_SET_DUMPABLE, PR_SET_PDEATHSIG = 38, 22, 4, 1
FIRST_UID = 64000
MAX_TASKS = 8  # threads, and processes where no filter forbids them

# Numbers of system calls: x86_64, aarch64. None: the architecture has no such call.
_CALLS: dict[str, tuple[int | None, int | None]] = {
    "fork": (57, None), "vfork": (58, None), "socket": (41, 198), "connect": (42, 203),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428), "move_mount": (429, 429),
    "fsopen": (430, 430), "mount_setattr": (442, 442), "open_by_handle_at": (304, 265),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425), "keyctl": (250, 219), "add_key": (248, 217),
    "request_key": (249, 218), "kexec_load": (246, 104), "init_module": (175, 105),
    "finit_module": (313, 273), "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190),
    "memfd_create": (319, 279), "execve": (59, 221), "execveat": (322, 281),
}  # fmt: skip
_BARE_CALLS: dict[str, tuple[int | None, int | None]] = {  # without namespaces: no change of files
    "tgkill": (234, 131), "prlimit64": (302, 261), "unlink": (87, None), "unlinkat": (263, 35),
    "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276), "rmdir": (84, None),
    "truncate": (76, 45), "creat": (85, None), "openat2": (437, 437), "link": (86, None),
    "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36), "chmod": (90, None),
    "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, None), "lchown": (94, None),
    "fchownat": (260, 54), "mkdir": (83, None), "mkdirat": (258, 34), "mknod": (133, None),
    "mknodat": (259, 33), "utimensat": (280, 88), "setxattr": (188, 5), "removexattr": (197, 14),
}  # fmt: skip
_OPENS = (((2, None), 24), ((257, 56), 32))  # open, openat: number, place of the flags
_WRITING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000  # O_WRONLY O_RDWR O_CREAT O_TRUNC O_APPEND
_CLONE, _CLONE3 = (56, 220), (435, 435)
_AUDIT = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def best(settings: dict[str, Any]) -> str:
    """The strongest way that works here; see the module's text."""
    if sys.platform == "linux" and platform.machine() in _AUDIT:
        for way in ("root", "user") if os.geteuid() == 0 else ("user",):
            if _works(way, settings):
                return way
    return "bare"


def weaknesses(way: str) -> list[str]:
    """What `way` does not give on this platform, as sentences for the report."""
    if way != "bare":
        return []
    found = [
        "No namespaces here: submissions can read the files that the grading user may read "
        "(the public solutions too); grade on Linux, in a container or a virtual machine."
    ]
    if sys.platform != "linux" or platform.machine() not in _AUDIT:
        found.append(
            "No filter of system calls here: the network is not cut off, and submissions can "
            "change or delete the files of the grading user."
        )
    if sys.platform == "darwin":
        found.append("macOS does not enforce the limit on memory.")
    if sys.platform == "win32":
        found.append("Windows: no limits on memory, processes and files, only on time.")
    return found


def _works(way: str, settings: dict[str, Any]) -> bool:
    middle = os.fork()
    if middle == 0:
        with contextlib.suppress(BaseException):
            separate(way)
            inner = os.fork()
            if inner == 0:
                with contextlib.suppress(BaseException):
                    seal(way, settings)
                    os._exit(0)
                os._exit(1)
            os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]) != 0)
        os._exit(1)
    return os.waitpid(middle, 0)[1] == 0


def separate(way: str) -> None:
    """First step, in the process that will fork the confined one: new namespaces."""
    if way == "bare":
        return
    uid, gid = os.geteuid(), os.getegid()
    flags = NEWPID | NEWNET | NEWIPC | NEWUTS | (NEWUSER if way == "user" else 0)
    _call("unshare", flags)
    if way == "user":
        maps = (("setgroups", "deny"), ("uid_map", f"1000 {uid} 1"), ("gid_map", f"1000 {gid} 1"))
        for name, text in maps:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)


def seal(way: str, settings: dict[str, Any]) -> None:
    """Second step, in the confined process: a root of its own, limits, no privileges.

    `settings`: ``root`` (an empty folder), ``visible`` (paths shown, read-only), ``memory`` and
    ``disk`` in bytes, ``seconds`` of processor time, ``slot`` (a small whole number).
    Raises OSError where a step fails; then nothing may be run.
    """
    memory = settings["memory"] + _address_space()
    if way == "bare":
        _private_folder(settings)
    else:
        _new_root(settings)
    _limits(way, memory, settings)
    if way == "user":
        _drop_capabilities()
    elif hasattr(os, "geteuid") and os.geteuid() == 0:
        _become(FIRST_UID + settings["slot"])
    if sys.platform == "linux":
        _call("prctl", PR_SET_PDEATHSIG, 9, 0, 0, 0)  # ends with the process that supervises it
        _call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
        _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if platform.machine() in _AUDIT:
            _filter_calls(bare=way == "bare")


def _call(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, data: str = "") -> None:
    texts = [None if text is None else text.encode() for text in (source, target, kind)]
    _call("mount", *texts, ctypes.c_ulong(flags), data.encode() or None)


def _new_root(settings: dict[str, Any]) -> None:
    """A small file system in memory, with the visible paths bound into it, as ``/``."""
    root = settings["root"]
    _call("unshare", NEWNS)
    _mount("none", "/", None, MS_REC | MS_PRIVATE)
    disk = f"size={settings['disk']},nr_inodes=8192,mode=755"
    _mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, disk)
    for path in [*settings["visible"], "/dev/null", "/dev/urandom"]:
        _show(path, root + path)
    for folder in ("/tmp", "/home/learner", "/.old"):
        os.makedirs(root + folder, exist_ok=True)
    os.chmod(root + "/tmp", 0o777)
    os.chmod(root + "/home/learner", 0o777)
    place = _AUDIT[platform.machine()][0]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(_CALLS["pivot_root"][place], root.encode(), f"{root}/.old".encode()) != 0:
        raise OSError(ctypes.get_errno(), "pivot_root")
    os.chdir("/")
    _call("umount2", b"/.old", MNT_DETACH)
    os.rmdir("/.old")
    os.chdir("/home/learner")


def _show(path: str, target: str) -> None:
    if os.path.islink(path):  # /lib is often a link to usr/lib
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
    elif os.path.exists(path):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w"):
            pass
    else:
        return
    _mount(path, target, None, MS_BIND | MS_REC)
    if not path.startswith("/dev/"):
        flags = os.statvfs(target).f_flag  # flags of a mount that a user namespace has to keep
        kept = flags & (MS_NOSUID | MS_NODEV | NOEXEC_NOATIME) | (RELATIME if flags & 4096 else 0)
        _mount("none", target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def _private_folder(settings: dict[str, Any]) -> None:
    """An empty folder: what the submission before left behind is removed."""
    folder = os.path.join(settings["root"], "work")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        os.chown(folder, FIRST_UID + settings["slot"], -1)
    os.chdir(folder)


def _address_space() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 2**32


def _limits(way: str, memory: int, settings: dict[str, Any]) -> None:
    if sys.platform == "win32":
        return
    import resource

    seconds = int(settings["seconds"]) + 1
    wanted = {
        "AS": memory, "CPU": seconds, "FSIZE": 16 * 2**20, "NOFILE": 64, "NPROC": MAX_TASKS,
        "CORE": 0, "MEMLOCK": 0, "MSGQUEUE": 0,
    }  # fmt: skip
    if way == "bare" and os.geteuid() != 0:
        wanted["NPROC"] = 4096  # counts all of this user's processes: a small number binds others
    for name, value in wanted.items():
        number = getattr(resource, f"RLIMIT_{name}", None)
        if number is not None:
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(number, (value, value + 1 if name == "CPU" else value))


def _become(uid: int) -> None:
    for candidate in (uid, 65534):
        try:
            os.setgroups([])
            os.setresgid(candidate, candidate, candidate)
            os.setresuid(candidate, candidate, candidate)
            return
        except (OSError, PermissionError):
            if os.geteuid() != 0:
                raise
    raise OSError("this user cannot become another one")


def _drop_capabilities() -> None:
    header = ctypes.create_string_buffer(struct.pack("II", 0x20080522, 0))
    data = ctypes.create_string_buffer(struct.pack("6I", *[0] * 6))
    _call("capset", header, data)


def _filter_calls(bare: bool) -> None:
    """Install the filter: what is listed fails with EPERM, another architecture ends it."""
    place, audit = _AUDIT[platform.machine()]
    load, equal, at_least, has_bits, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, unknown, end = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
    code = [(load, 0, 0, 4), (equal, 1, 0, audit), (give, 0, 0, end), (load, 0, 0, 0)]
    if place == 0:  # the second table of calls of x86_64
        code += [(at_least, 0, 1, 0x40000000), (give, 0, 0, refuse)]
    for numbers in (_CALLS | (_BARE_CALLS if bare else {})).values():
        if numbers[place] is not None:
            code += [(equal, 0, 1, numbers[place]), (give, 0, 0, refuse)]
    for numbers, flags in _OPENS if bare else ():
        if numbers[place] is not None:
            code += [(equal, 0, 4, numbers[place]), (load, 0, 0, flags)]
            code += [(has_bits, 0, 1, _WRITING), (give, 0, 0, refuse), (give, 0, 0, allow)]
    code += [(equal, 0, 1, _CLONE3[place]), (give, 0, 0, unknown)]  # libc falls back to clone
    code += [(equal, 0, 3, _CLONE[place]), (load, 0, 0, 16), (has_bits, 1, 0, 0x10000)]
    code += [(give, 0, 0, refuse), (give, 0, 0, allow)]  # threads yes, processes no
    text = b"".join(struct.pack("HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(text, len(text))
    program = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(buffer))
    _call("prctl", PR_SET_SECCOMP, 2, ctypes.create_string_buffer(program), 0, 0)
