/* The words of vfio_client's commands; see words.h. */
#define _GNU_SOURCE
#include "words.h"

#include <errno.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct name features[] = {
	{ "entry", VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY },
	{ "wakeup", VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP },
	{ "exit", VFIO_DEVICE_FEATURE_LOW_POWER_EXIT },
	{ NULL, 0 },
};
const struct name operations[] = {
	{ "get", VFIO_DEVICE_FEATURE_GET },
	{ "set", VFIO_DEVICE_FEATURE_SET },
	{ "probe", VFIO_DEVICE_FEATURE_PROBE },
	{ NULL, 0 },
};
const struct name regions[] = {
	{ "rom", VFIO_PCI_ROM_REGION_INDEX },
	{ "config", VFIO_PCI_CONFIG_REGION_INDEX },
	{ "vga", VFIO_PCI_VGA_REGION_INDEX },
	{ NULL, 0 },
};
const struct name irq_indexes[] = {
	{ "intx", VFIO_PCI_INTX_IRQ_INDEX },
	{ "msi", VFIO_PCI_MSI_IRQ_INDEX },
	{ "msix", VFIO_PCI_MSIX_IRQ_INDEX },
	{ "err", VFIO_PCI_ERR_IRQ_INDEX },
	{ "req", VFIO_PCI_REQ_IRQ_INDEX },
	{ NULL, 0 },
};
const struct name irq_flags[] = {
	{ "mask", VFIO_IRQ_SET_ACTION_MASK },
	{ "unmask", VFIO_IRQ_SET_ACTION_UNMASK },
	{ "trigger", VFIO_IRQ_SET_ACTION_TRIGGER },
	{ "none", VFIO_IRQ_SET_DATA_NONE },
	{ "bool", VFIO_IRQ_SET_DATA_BOOL },
	{ "event", VFIO_IRQ_SET_DATA_EVENTFD },
	{ "unbind", VFIO_IRQ_SET_DATA_EVENTFD },
	{ NULL, 0 },
};
const struct name capability_ids[] = {
	{ "pm", 0x01 },
	{ "msi", 0x05 },
	{ "pcie", 0x10 },
	{ "msix", 0x11 },
	{ NULL, 0 },
};

void die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("vfio_client: ", stdout);
	vprintf(format, arguments);
	printf(": %s\n", strerror(errno));
	exit(1);
}

uint64_t number(const char *word)
{
	char *end;
	uint64_t value = strtoull(word, &end, 0);

	if (*word == '\0' || *end != '\0') {
		errno = EINVAL;
		die("not a number: %s", word);
	}
	return value;
}

unsigned int index_below(const char *word, unsigned int limit)
{
	uint64_t value = number(word);

	if (value >= limit) {
		errno = ERANGE;
		die("must be below %u: %s", limit, word);
	}
	return value;
}

uint32_t named(const char *word, const struct name *names)
{
	for (; names->name; names++)
		if (!strcmp(word, names->name))
			return names->value;
	return number(word);
}

uint32_t named_bits(const char *words, const struct name *names)
{
	char copy[64];
	uint32_t bits = 0;

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *rest = copy, *word; (word = strsep(&rest, "+"));)
		bits |= named(word, names);
	return bits;
}
