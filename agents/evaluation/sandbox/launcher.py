"""Shuts its own process in and then plays a role there. Started as a script, with nothing but the
standard library and no environment; reads its plan (one line of JSON) from standard input.

    this process     user, mount, network, pid, IPC and UTS namespaces of its own; waits
      keeper         pid 1 of the namespace: when it ends, everything in there is killed
        role         no capabilities, no way to new ones, read-only root, limits

Exit code 90, with the reason on standard error: it could not be shut in, and nothing was executed.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn

FAILED = 90
NOBODY = 65534
CLONE_NEWUSER = 0x10000000
NAMESPACES = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x20000000 | 0x40000000
"""CLONE_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWPID, _NEWNET."""
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
LINUX_CAPABILITY_VERSION_3 = 0x20080522
DEVICES = ("null", "zero", "urandom")
SCRATCH = "/scratch"
OWN_PROCESSES = 3
"""Those drawn above count against the limit."""

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
libc.mount.argtypes = [ctypes.c_char_p] * 3 + [ctypes.c_ulong, ctypes.c_char_p]


def call(name: str, *arguments: Any) -> None:
    """A function of the C library that says -1 on failure. Raises OSError."""
    if getattr(libc, name)(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def main() -> None:
    """Follow the plan; never returns."""
    plan = json.loads(sys.stdin.buffer.readline())
    try:
        if plan["strict"]:
            shut_in(plan)
        else:
            leave_root()
            os.listdir(os.path.dirname(os.__file__))  # noqa: PTH120, PTH208 - or nothing imports
            os.chdir(plan["box"])
        set_limits(plan)
        keeper = os.fork()
    except Exception as error:  # whatever it is, the program must not be blamed for it
        fail(error)
    if keeper:
        close_all_but()
        _, status = os.waitpid(keeper, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    keep(plan)


def fail(error: Exception) -> NoReturn:
    """Say why nothing was executed."""
    sys.stderr.write(str(error) or type(error).__name__)
    sys.stderr.flush()
    os._exit(FAILED)


def shut_in(plan: dict[str, Any]) -> None:
    """Own mounts, network (none), processes, IPC, host name and users.

    The superuser mounts with its own rights and then becomes nobody's, in a user namespace of its
    own, so that its processes are counted apart. Others get the right to mount from that namespace.
    """
    if os.geteuid() == 0:
        try:
            call("unshare", NAMESPACES)
        except PermissionError:
            leave_root()
        else:
            build_root(plan["box"], plan["visible"], plan["disk_bytes"])
            leave_root()
            call("unshare", CLONE_NEWUSER)
            return
    user, group = os.geteuid(), os.getegid()
    call("unshare", NAMESPACES | CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - a script without pathlib
            file.write(text)
    build_root(plan["box"], plan["visible"], plan["disk_bytes"])


def leave_root() -> None:
    """A process of the superuser becomes nobody's: for it files and limits are no limits."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        # A change of user makes /proc/self unwritable to it, where the user map stands.
        call("prctl", PR_SET_DUMPABLE, 1, 0, 0, 0)


def build_root(box: str, visible: list[str], disk_bytes: int) -> None:
    """A root where only the `visible` folders are read, and only SCRATCH (in memory) is written."""
    call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
    tmpfs(box, 1 << 20, "755")
    for path in visible:
        if os.path.islink(path):  # noqa: PTH114
            os.symlink(os.readlink(path), box + path)  # noqa: PTH115, PTH211
        elif os.path.isdir(path):  # noqa: PTH112
            os.makedirs(box + path, exist_ok=True)  # noqa: PTH103
            bind(path, box + path)
    os.mkdir(f"{box}/dev")  # noqa: PTH102
    for name in DEVICES:
        os.close(os.open(f"{box}/dev/{name}", os.O_CREAT | os.O_WRONLY))
        call("mount", f"/dev/{name}".encode(), f"{box}/dev/{name}".encode(), None, MS_BIND, None)
    os.mkdir(box + SCRATCH)  # noqa: PTH102
    tmpfs(box + SCRATCH, disk_bytes, "1777")
    if not os.path.exists(f"{box}/tmp"):  # noqa: PTH110 - unless Python itself lies there
        os.symlink(SCRATCH, f"{box}/tmp")  # noqa: PTH211
    call("mount", None, box.encode(), None, MS_REMOUNT | MS_BIND | MS_RDONLY, None)
    os.chdir(box)
    call("pivot_root", b".", b".") if hasattr(libc, "pivot_root") else pivot_root()
    call("umount2", b".", MNT_DETACH)
    os.chdir(SCRATCH)


def pivot_root() -> None:
    """Where the C library has no wrapper for it."""
    numbers = {"x86_64": 155, "aarch64": 41, "riscv64": 41}
    if os.uname().machine not in numbers:
        raise OSError(0, f"pivot_root is not known on {os.uname().machine}")
    call("syscall", numbers[os.uname().machine], b".", b".")


def tmpfs(path: str, size: int, mode: str) -> None:
    """Files in memory, `size` bytes and 1,000 files at most."""
    data = f"size={size},nr_inodes=1000,mode={mode}".encode()
    call("mount", b"tmpfs", path.encode(), b"tmpfs", MS_NOSUID | MS_NODEV, data)


def bind(source: str, target: str) -> None:
    """Show a folder read-only. Flags of the original mount must stay, or the kernel refuses."""
    call("mount", source.encode(), target.encode(), None, MS_BIND | MS_REC, None)
    kept = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC | 0x1C00)
    times = {0x400: 1024, 0x800: 2048, 0x1000: 1 << 21}
    flags = kept & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    flags |= sum(mount for statvfs, mount in times.items() if kept & statvfs)
    call("mount", None, target.encode(), None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, None)


def set_limits(plan: dict[str, Any]) -> None:
    """Limits of the kernel, for each process; those of the machine where they are tighter."""
    for kind, limit in (
        (resource.RLIMIT_CPU, plan["cpu_s"]),
        (resource.RLIMIT_AS, plan["memory_bytes"]),
        (resource.RLIMIT_FSIZE, plan["file_bytes"]),
        (resource.RLIMIT_NPROC, plan["processes"] + OWN_PROCESSES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        most = resource.getrlimit(kind)[1]
        held = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(kind, (held, held))


def keep(plan: dict[str, Any]) -> None:
    """As the first process in there: start the role, wait for it, take everything down with it."""
    try:
        give_up_capabilities()
        # Nobody but the kernel may look into this process, or into the role at its start.
        call("prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
        call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(124))
        signal.setitimer(signal.ITIMER_REAL, plan["wall_s"] + 5)
        role = os.fork()
    except Exception as error:  # as in `main`
        fail(error)
    if role:
        close_all_but()
        _, status = os.waitpid(role, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    close_all_but(0, 1, 2, *plan["descriptors"])
    names: dict[str, Any] = {"__name__": "roles", "socket": socket}
    exec(compile(plan["roles"], "<sandbox>", "exec"), names)
    code = 1
    try:
        names["play"](plan)
        code = 0
    finally:
        os._exit(code)


def give_up_capabilities() -> None:
    """All of them, for good."""
    for capability in range(64):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(LINUX_CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)())


def close_all_but(*kept: int) -> None:
    """Close every descriptor that this process has no need of."""
    before = -1
    for descriptor in sorted(kept):
        # An empty range that starts at 0 would close them all.
        if before + 1 < descriptor:
            os.closerange(before + 1, descriptor)
        before = descriptor
    os.closerange(before + 1, 1024)


if __name__ == "__main__":
    main()
