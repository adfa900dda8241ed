"""Programs that images and environments have: what a wheel's script may not take the place of.

Whatever a wheel installs goes to a folder that stands first in PATH.
"""

from __future__ import annotations

import re

from packaging.utils import NormalizedName, canonicalize_name

_BUSYBOX = """
    [ [[ acpid add-shell addgroup adduser adjtimex arch arp arping ascii ash awk base32 base64 basename bbconfig bc
    beep blkdiscard blkid blockdev brctl bunzip2 busybox bzcat bzip2 cal cat chattr chgrp chmod chown chpasswd chpst
    chroot chrt chvt cksum clear cmp comm cp cpio crc32 crond crontab cryptpw cttyhack cut date dc dd deallocvt
    delgroup deluser depmod devmem df diff dirname dmesg dnsdomainname dos2unix du dumpkmap dumpleases echo ed egrep
    eject env envdir envuidgid ether-wake expand expr factor fakeidentd fallocate false fatattr fbset fbsplash fdflush
    fdformat fdisk fgrep find findfs flock fold free freeramdisk fsck fsfreeze fstrim fsync fuser getopt getty grep
    groups gunzip gzip halt hd head hexdump hexedit hostid hostname hush hwclock id ifconfig ifdown ifenslave ifup init
    inotifyd insmod install ionice iostat ip ipaddr ipcalc ipcrm ipcs iplink ipneigh iproute iprule iptunnel kbd_mode
    kill killall killall5 klogd last less link linux32 linux64 linuxrc ln loadfont loadkmap logger login logname
    logread losetup ls lsattr lsmod lsof lspci lsscsi lsusb lzcat lzma lzop lzopcat makedevs makemime md5sum mdev mesg
    microcom mim mkdir mkdosfs mkfifo mkfs.vfat mknod mkpasswd mkswap mktemp modinfo modprobe more mount mountpoint
    mpstat mv nameif nanddump nandwrite nbd-client nc netstat nice nl nmeter nohup nologin nproc nsenter nslookup ntpd
    od openvt partprobe passwd paste patch pgrep pidof ping ping6 pipe_progress pivot_root pkill pmap poweroff printenv
    printf ps pscan pstree pwd pwdx raidautorun rdate rdev readahead readlink readprofile realpath reboot reformime
    remove-shell renice reset resize resume rev rfkill rm rmdir rmmod route run-init run-parts runlevel script
    scriptreplay sed sendmail seq setarch setconsole setfattr setfont setkeycodes setlogcons setpriv setserial setsid
    setuidgid sh sha1sum sha256sum sha3sum sha512sum showkey shred shuf slattach sleep smemcap softlimit sort split
    ssl_client start-stop-daemon stat strings stty su sulogin sum sv svok swapoff swapon switch_root sync sysctl
    syslogd tac tail tar taskset tc tee telnet test tftp time timeout top touch tr traceroute traceroute6 tree true
    truncate ts tty ttysize tunctl udhcpc udhcpc6 udpsvd umount uname unexpand uniq unix2dos unlink unlzma unlzop
    unshare unxz unzip uptime users usleep uudecode uuencode vconfig vi vlock volname w wall watch watchdog wc wget
    which who whoami whois xargs xxd xz xzcat yes zcat zcip
"""
"""The applets of Alpine's busybox and of the bootstrap images' (`busybox --list`), taken together."""

_ALPINE = """
    apk c_rehash getconf getent iconv ldconfig ldd openssl scanelf sqlite3 ssl_client tclsh tclsh8.6
    update-ca-certificates wish wish8.6
"""
"""What Alpine's other packages bring into the official images: apk-tools, musl-utils, pax-utils, and libraries'."""

_SHELLS = "ash bash busybox csh dash env fish hush ksh mksh sh sudo tcsh zsh"
"""What scripts on any Linux begin with, or run others by."""

_PROGRAMS = frozenset(f"{_BUSYBOX} {_ALPINE} {_SHELLS}".split())

_ENVIRONMENT = re.compile(
    r"(?P<program>python|pip|pydoc|idle|2to3|easy_install|wheel)(?:[.-]?[0-9]+)*[dtmw]?(?:-config|-dbg)?"
    r"|(?:de)?activate(?:\.[a-z0-9]+)?|activate_this\.py"
)
"""What Python's installation and an environment (venv, virtualenv) have in bin."""

_NOBODYS = frozenset(f"{_SHELLS} apk [ [[".split())
"""These are not even a project's that is named like them."""

_OWNERS = {"easy_install": "setuptools", "pip": "pip", "wheel": "wheel"}
"""Who may bring what of _ENVIRONMENT."""


def takes_a_place(script: str, project: NormalizedName) -> bool:
    """Whether a script is named like a program that others rely on, and is not this project's own.

    Its own is what is named as the project, and for pip, setuptools and wheel their programs with numbers of versions
    behind them. That a name merely begins with the project's is no excuse.
    """
    name = script.lower().removesuffix(".exe")
    if environment := _ENVIRONMENT.fullmatch(name):
        return _OWNERS.get(environment["program"]) != project
    if name in _NOBODYS:
        return True
    return name in _PROGRAMS and canonicalize_name(name) != project
