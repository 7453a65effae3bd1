#!/bin/sh
# Turns the archive that mmdebstrap made into what QEMU boots. Runs as root or under fakeroot.
# usage: assemble.sh ROOTFS.tar OUTPUT-FOLDER
# In the output: root.img (ext4, sparse), vmlinuz, initrd (the modules of disks and network card and a
# static busybox; what runs in it comes with each boot) and python/ (the guest's own Python, to run on
# the host through its own dynamic linker: it resolves and compiles the guest's dependencies).
set -eu
archive=$(readlink -f "$1")
cd "$2"

mkdir rootfs
tar -xf "$archive" -C rootfs --exclude='./dev/*'
kernel=$(ls rootfs/lib/modules)
cp rootfs/boot/vmlinuz-* vmlinuz

mkdir -p rootfs/ebb rootfs/opt/ebb rootfs/var/lib/ebb rootfs/etc/ebb
printf 'ebb:x:900:\n' >>rootfs/etc/group
printf 'ebb:x:900:900:ebb:/nonexistent:/usr/sbin/nologin\n' >>rootfs/etc/passwd
# The shell that ssh runs commands with: bash takes 10 ms longer to start under emulation.
sed -i 's#^root:\(.*\):/bin/bash$#root:\1:/bin/sh#' rootfs/etc/passwd
printf '127.0.0.1 localhost\n127.0.1.1 ebb-lab\n' >rootfs/etc/hosts
printf 'export PS1="lab:\\w# " PATH="%s:$PATH"\ncd /ebb\n' /ebb/.lab/bin:/ebb/deploy/lab/guest/bin >rootfs/root/.bash_profile
: >rootfs/root/.bashrc
site=rootfs/usr/local/lib/python3.11/dist-packages
mkdir -p "$site"
# The source disk brings its own list of import folders, made from pyproject.toml at every boot.
printf '/opt/ebb\nimport site; site.addsitedir("/ebb/.lab/site")\n' >"$site/ebb-lab.pth"

mkdir -p initramfs/bin initramfs/mods initramfs/proc initramfs/sys initramfs/dev initramfs/newroot
cp rootfs/bin/busybox initramfs/bin/
for module in virtio_pci virtio_blk virtio_net; do
	modprobe -d "$PWD/rootfs" -S "$kernel" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
done | awk '!seen[$0]++' >order
while read -r file; do
	cp "$file" initramfs/mods/
	basename "$file"
done <order >initramfs/mods/order
(cd initramfs && find . | cpio --quiet -o -H newc) | gzip -1 >initrd

mkdir -p python/lib python/usr/bin python/usr/lib
linker=rootfs/lib64/ld-linux-x86-64.so.2
libraries=$PWD/rootfs/lib/x86_64-linux-gnu:$PWD/rootfs/usr/lib/x86_64-linux-gnu
cp -L "$linker" python/lib/ld.so
cp rootfs/usr/bin/python3.11 python/usr/bin/
cp -a rootfs/usr/lib/python3.11 python/usr/lib/
cp rootfs/usr/share/python-wheels/pip-*.whl python/pip.whl
for binary in rootfs/usr/bin/python3.11 rootfs/usr/lib/python3.11/lib-dynload/*.so; do
	python/lib/ld.so --library-path "$libraries" --list "$binary"
done | awk '$3 ~ "^/" { print $3 }' | sort -u | while read -r library; do cp -L "$library" python/lib/; done

# 16 GiB, sparse: room for the default loop pool. A journal, because the node is power-cut on purpose.
mke2fs -q -F -t ext4 -J size=16 -E root_owner=0:0 -d rootfs root.img 16G
rm -rf rootfs initramfs order
