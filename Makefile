# The menu. Everything here works on a fresh Debian 12 as root with Rust (see rust-version in Cargo.toml) installed.
#
#   make demo     a school in a box: virtual PCs boot, are approved, imaged and start their own system
#   make test     every test, the demo among them
#   make windows-agent   the agent for Windows PCs, and the Wine that the tests start it with; without it everything else works
#   make bench    our speed beside the peers', in one run; writes target/bench.json
#   make lint     formatting and clippy
#   make package  the Debian package, in target/package
#   make test-package  installs that package in a small Debian of its own and runs it
#   make deps     the Debian packages that the others need (they call it themselves)

SHELL := /bin/bash
.DELETE_ON_ERROR:
.ONESHELL:
.SHELLFLAGS := -euo pipefail -c

CARGO     := cargo
STATIC    := x86_64-unknown-linux-gnu
BUILD_AGENT := RUSTFLAGS="-C target-feature=+crt-static" $(CARGO) build --locked --profile agent --target $(STATIC) -p agent
AGENT     := target/$(STATIC)/agent/agent
PROFILE   := release
BIN        = target/$(PROFILE)
COMMAND    = $(BIN)/hausmeister
PACKAGES  := target/boot-packages
BOOT      := target/boot
WINDOWS   := target/windows
DEMO_IMAGE := target/demo/debian.img
# The rules that the tests hold the pages against; no part of the product.
AXE       := axe-core-4.14.1
AXE_SUM   := e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
AXE_FILE  := target/axe.min.js

# Debian packages: to build, to make what PCs boot, to run virtual PCs.
PACKAGES_NEEDED := gcc libc6-dev pkg-config \
  cpio debian-archive-keyring dosfstools e2fsprogs gdisk kmod mmdebstrap mtools syslinux syslinux-common util-linux xz-utils zstd \
  iproute2 ovmf qemu-system-x86 procps
# What the chroot is made with, and what the tests make MSI files with.
windows-agent: PACKAGES_NEEDED := mmdebstrap debian-archive-keyring util-linux wixl
# The demo's lesson: a phone's browser, its DHCP client, the gate; and its backups.
demo test bench: PACKAGES_NEEDED += chromium nftables udhcpc restic freeradius freeradius-rest hostapd wpasupplicant
# Real clients and oracles for the tests; peers for the benchmarks.
test: PACKAGES_NEEDED += atftp bind9 bind9-dnsutils bind9-utils busybox-static curl dnsmasq-base fdisk isc-dhcp-client kea-admin ntfs-3g \
  eapoltest freeradius-utils mount postgresql python3 swtpm tftp-hpa openssl strongswan-pki libstrongswan-standard-plugins libstrongswan-extra-plugins certmonger attr msitools wixl libhivex-bin libwin-hivex-perl $(if $(shell command -v npm),,npm)
test: WITH_TESTS := --tests
# Built in less time than a release, and with debug assertions.
test: PROFILE := checked
bench: PACKAGES_NEEDED += curl dnsmasq-base dnsperf fdisk kea-admin kea-dhcp4-server python3 tftp-hpa tftpd-hpa unbound

# Which Debian packages the programs are linked against; the other end of the cable in its test.
package: PACKAGES_NEEDED += binutils dpkg-dev
test-package: PACKAGES_NEEDED += busybox-static curl iproute2

.PHONY: demo test bench lint deps build boot image windows-agent windows-agent-if-possible package test-package clean

demo: build boot image
	$(COMMAND) demo --boot-files $(BOOT) --image $(DEMO_IMAGE) --work-dir target/demo/run $(DEMO_FLAGS)

# Every test, each in a process of its own; the demo is one of them. CI runs this. Where the agent for Windows cannot be built, its tests
# are left out, and the last lines say so.
test: build windows-agent-if-possible boot image $(AXE_FILE)
	$(CARGO) nextest --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-nextest
	tests='all()'
	[ -e $(WINDOWS)/agent.exe ] || tests='not test(/^windows::/) or not binary(it)'
	HAUSMEISTER_BIN=$(CURDIR)/$(BIN) $(CARGO) nextest run --cargo-profile $(PROFILE) --locked --workspace -E "$$tests"
	$(MAKE) --no-print-directory test-package PROFILE=$(PROFILE) WITH_TESTS=$(WITH_TESTS)
	[ -e $(WINDOWS)/agent.exe ] || $(NO_WINDOWS_AGENT)

# The agent for Windows. Debian 12 has neither a standard library for Windows that fits our compiler nor a Wine that can start the
# result; both come from a chroot (see agent/windows/chroot.sh) that is made once. Cargo says what is to be built anew.
windows-agent: deps
	agent/windows/chroot.sh make $(WINDOWS)
	agent/windows/build.sh $(WINDOWS)

NO_WINDOWS_AGENT = { echo; echo "=== WARNING: what the agent for Windows is built with could not be had on this machine. Its tests"; \
	  echo "=== under Wine WERE NOT RUN, and PCs with Windows get no agent."; echo; } >&2

windows-agent-if-possible: build
	if agent/windows/chroot.sh make $(WINDOWS); then agent/windows/build.sh $(WINDOWS); else rm -f $(WINDOWS)/agent.exe; $(NO_WINDOWS_AGENT); fi

bench: build boot image
	$(BUILD_AGENT) --example folder_pc
	tests/bench/run

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --release --locked -- -D warnings

deps:
	@missing=$$(for p in $(PACKAGES_NEEDED); do dpkg-query -W -f='$${db:Status-Abbrev}\n' $$p 2>/dev/null | grep -q '^ii' || echo $$p; done)
	if [ -n "$$missing" ]; then
	  echo "Installing from Debian:" $$missing
	  apt-get update -qq
	  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing
	fi

# For the tests together with them: one set of features, every crate compiled once.
build: deps
	$(CARGO) build --profile $(PROFILE) --locked --workspace --bins $(WITH_TESTS)
	$(BUILD_AGENT)

# What PCs load from the network: signed boot loaders and kernel from Debian, and the agent as /init.
boot: build
	images/fetch-boot-packages.sh $(PACKAGES)
	$(COMMAND) boot-environment --packages $(PACKAGES) --agent $(AGENT) --out $(BOOT)
	if [ -e $(WINDOWS)/agent.exe ]; then cp $(WINDOWS)/agent.exe $(BOOT)/windows-agent.exe; else rm -f $(BOOT)/windows-agent.exe; fi

# `apt install ./target/package/hausmeister_*.deb` on a Debian 12.
package: build boot
	packaging/build-deb $(BIN) $(AGENT) $(BOOT) target/package

test-package: package
	test -d target/package/debian || { rm -rf target/package/debian.new && mmdebstrap --variant=minbase --include=adduser,init-system-helpers,nftables,tzdata,iproute2,busybox-static,curl,procps,restic,util-linux bookworm target/package/debian.new && mv target/package/debian.new target/package/debian; }
	rm -rf target/package/root
	cp -a target/package/debian target/package/root
	packaging/test-deb target/package/hausmeister_*.deb target/package/root

# The small Debian that the demo's PCs get.
image: deps
	images/demo-image/build.sh $(DEMO_IMAGE)

$(AXE_FILE): Makefile | deps
	mkdir -p target/axe
	npm pack --silent --pack-destination target/axe axe-core@$(AXE:axe-core-%=%) >/dev/null
	echo "$(AXE_SUM)  target/axe/$(AXE).tgz" | sha256sum --check --quiet
	tar -xzf target/axe/$(AXE).tgz -O package/axe.min.js >$@

clean:
	rm -rf target
