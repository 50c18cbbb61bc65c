# SPDX-License-Identifier: Apache-2.0
# The guests: the Linux recipe and our own small ones. Included by the top-level Makefile.

CACHE := $(BUILD)/cache
GUEST := $(BUILD)/guests

# ---- Linux: an unmodified distribution kernel and a busybox shell --------------------------------
$(GUEST)/linux/vmlinuz: guests/linux/fetch.sh
	$< $(CACHE) linux-image-cloud-amd64 './boot/vmlinuz-*' $@

$(GUEST)/linux/busybox: guests/linux/fetch.sh
	$< $(CACHE) busybox-static './bin/busybox' $@

$(GUEST)/linux/initrd.img: guests/linux/initrd.sh $(GUEST)/linux/busybox guests/linux/init
	$^ $@
