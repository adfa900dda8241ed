# The base image's shell and tools. Compiled for musl: Debian's busybox-static holds glibc, and its applets that look
# names up (wget, nslookup) crash where there is no glibc to load modules from.
. "$HERE/common.sh"
use_musl_compiler "$STEP_kernel_headers"

unpack 'busybox_*.orig.tar.bz2'
make -s defconfig HOSTCC=gcc
# An image needs no machine's tools: services, logins, devices, modules, consoles, networks' configuration, mail.
# (Some of these want headers that musl has not.)
for name in INETD TELNET TELNETD HTTPD FTPD FTPGET FTPPUT TFTP TFTPD NTPD UDHCP DHCP DNSD TC MODPROBE INSMOD RMMOD LSMOD DEPMOD \
    MODINFO MODUTILS RUNSV SVC SVLOGD SENDMAIL POPMAILDIR MAKEMIME REFORMIME LPD LPR LPQ INIT LINUXRC SULOGIN LOGIN GETTY VLOCK \
    SYSLOGD KLOGD LOGREAD MDEV UEVENT NAND FLASH UBI I2C HDPARM FDISK MKFS MKE2FS TUNE2FS FSCK MKSWAP SWAP BRCTL IFCONFIG \
    IFENSLAVE IFPLUGD IFUPDOWN IPCALC IPADDR IPLINK IPROUTE IPTUNNEL IPRULE IPNEIGH ARP SLATTACH VCONFIG ZCIP TUNCTL NAMEIF \
    NBDCLIENT FBSET FBSPLASH LOADFONT LOADKMAP SETFONT SETKEYCODES SETCONSOLE SETLOGCONS SHOWKEY DUMPKMAP KBD_MODE OPENVT CHVT \
    DEALLOCVT FGCONSOLE CONSPY MICROCOM MT RAIDAUTORUN READAHEAD RFKILL WATCHDOG ADJTIMEX BEEP DEVFSD RTC HWCLOCK ACPID \
    BOOTCHARTD POWERTOP CROND CRONTAB CHAT RX MAN RPM DPKG FEATURE_MOUNT_NFS FEATURE_INETD_RPC; do
    sed -i "s/^CONFIG_\($name[A-Z0-9_]*\)=.*/# CONFIG_\1 is not set/" .config
done
sed -i 's/.*CONFIG_STATIC[ =].*/CONFIG_STATIC=y/' .config
yes '' | make -s oldconfig HOSTCC=gcc > /dev/null
make -j"$JOBS" HOSTCC=gcc CC=gcc busybox
make -s install HOSTCC=gcc CC=gcc CONFIG_PREFIX="$OUT"
