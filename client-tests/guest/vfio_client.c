/*
 * A client of the guest's own vfio-pci, steered line by line: each command on standard input gets exactly one line of answer, so that a shell
 * script can hold the device open, look at sysfs between two steps, and compare. The program `scenario` beside the other clients understands
 * the commands marked with an asterisk, too, asks the daemon instead of the kernel, and answers in the same words.
 *
 *   vfio_client 0000:01:00.0
 *
 * Answers: "ok", the kernel's errno by name (EINVAL), a value in hex or a count in decimal, or SIGBUS for a touched mapping that faults.
 * The legacy container and group interface is used: it is the one that distribution kernels have.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/vfio.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <unistd.h>

#include "words.h"

enum { MAX_WORDS = 6, MAX_BARS = 6, MAX_VECTORS = 16, MAX_BUFFERS = 8, MAX_FUNCTIONS = 8, NEVER_OPEN = 1000 };

struct buffer {
	uint64_t iova;
	size_t size;
	uint8_t *memory;
};

static const char *address;
static int container, group, device;
static int wake_event = -1, previous_wake_event = -1;
static int irq_events[MAX_VECTORS];
static volatile uint8_t *bars[MAX_BARS];
static struct buffer buffers[MAX_BUFFERS];

static sigjmp_buf fault;

static void on_sigbus(int signal)
{
	(void)signal;
	siglongjmp(fault, 1);
}

/* The answer to a call that returns a negative number and sets errno when it fails. */
static void answer_result(int result)
{
	puts(result < 0 ? strerrorname_np(errno) : "ok");
}

static int new_eventfd(void)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (event < 0)
		die("eventfd");
	return event;
}

/* Waits up to `milliseconds` for `event`, and answers how often it was signalled since the last look. */
static void answer_count(int event, int milliseconds)
{
	struct pollfd waited = { .fd = event, .events = POLLIN };
	uint64_t count = 0;

	if (poll(&waited, 1, milliseconds) > 0 && read(event, &count, sizeof(count)) != sizeof(count))
		die("read of an eventfd");
	printf("%llu\n", (unsigned long long)count);
}

/* `event` is a file descriptor or what stands for one. A registered eventfd is what `woken` waits for. */
static void answer_feature(uint32_t flags, uint32_t argsz, int event, uint32_t reserved)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_low_power_entry_with_wakeup body;
		uint8_t room[64];
	} call = {
		.head = { .argsz = argsz, .flags = flags },
		.body = { .wakeup_eventfd = event, .reserved = reserved },
	};
	int result = ioctl(device, VFIO_DEVICE_FEATURE, &call);

	answer_result(result);
	if (result == 0 && flags == (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP)) {
		if (previous_wake_event >= 0)
			close(previous_wake_event);
		previous_wake_event = wake_event;
		wake_event = event;
	} else if (event >= 0 && event < NEVER_OPEN) {
		close(event);
	}
}

/*
 * * feature OPERATIONS FEATURE ARGSZ [EVENTFD [RESERVED]]: a device feature request as it stands. EVENTFD is "event" for a new one, "negative",
 * "closed" for a number that is not open, or "pipe".
 */
static void feature(char **words)
{
	const char *kind = words[4] ? words[4] : "negative";
	int event = -1, ends[2];

	if (!strcmp(kind, "event")) {
		event = new_eventfd();
	} else if (!strcmp(kind, "closed")) {
		event = NEVER_OPEN;
	} else if (!strcmp(kind, "pipe")) {
		if (pipe(ends) < 0)
			die("pipe");
		close(ends[1]);
		event = ends[0];
	}
	answer_feature(named_bits(words[1], operations) | named(words[2], features), number(words[3]), event,
		       words[5] ? number(words[5]) : 0);
}

/* * probe|set entry|wakeup|exit: the low-power device features, as they should be used. */
static void low_power(char **words)
{
	uint32_t flags = named(words[0], operations) | named(words[1], features);
	bool registers = flags == (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP);

	answer_feature(flags, registers ? 16 : 8, registers ? new_eventfd() : -1, 0);
}

/* * woken MILLISECONDS: how often the wake-up eventfd fired. */
static void woken(char **words)
{
	answer_count(wake_event, number(words[1]));
}

/* * woken_before MILLISECONDS: the same for the one that was registered before it. */
static void woken_before(char **words)
{
	answer_count(previous_wake_event, number(words[1]));
}

static struct vfio_region_info region_info(uint32_t index)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = index };

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		die("GET_REGION_INFO %u", index);
	return info;
}

/* Where a region begins in the device's file: asking for it would be a request of its own, which wakes a sleeping device. */
static uint64_t region_start(const char *name)
{
	return (uint64_t)named(name, regions) << 40;
}

/* Where a capability is. They never move; found once, when the device is open. */
static uint8_t capabilities[CAPABILITIES];

static void find_capabilities(void)
{
	uint64_t config = region_start("config");
	uint8_t at = 0, head[2];

	if (pread(device, &at, 1, config + 0x34) != 1)
		die("read of the capability list");
	for (int count = 0; at && count < 48 && pread(device, head, 2, config + at) == 2; count++, at = head[1])
		for (size_t i = 0; capability_ids[i].name; i++)
			if (head[0] == capability_ids[i].value)
				capabilities[i] = at;
}

/* NUMBER, or CAPABILITY+NUMBER. */
static uint64_t offset(const char *word)
{
	const char *plus = strchr(word, '+');

	for (size_t i = 0; plus && capability_ids[i].name; i++)
		if (!strncmp(word, capability_ids[i].name, plus - word) && !capability_ids[i].name[plus - word])
			return capabilities[i] + number(plus + 1);
	return number(word);
}

static unsigned int width(const char *word)
{
	return word ? index_below(word, sizeof(uint64_t) + 1) : sizeof(uint32_t);
}

/* * read REGION OFFSET [WIDTH]: through read(2), little-endian; REGION is a number, "config", "rom" or "vga". */
static void read_region(char **words)
{
	uint64_t value = 0;
	ssize_t done = pread(device, &value, width(words[3]), region_start(words[1]) + offset(words[2]));

	if (done < 0)
		answer_result(done);
	else
		printf("0x%0*llx\n", (int)done * 2, (unsigned long long)value);
}

/* * write REGION OFFSET VALUE [WIDTH]: a short count is the answer. */
static void write_region(char **words)
{
	unsigned int bytes = width(words[4]);
	uint64_t value = number(words[3]);
	ssize_t done = pwrite(device, &value, bytes, region_start(words[1]) + offset(words[2]));

	if (done < 0 || done == bytes)
		answer_result(done);
	else
		printf("%zd\n", done);
}

/* * info: flags, regions and irq indexes of the device. */
static void info(char **words)
{
	struct vfio_device_info call = { .argsz = sizeof(call) };

	(void)words;
	if (ioctl(device, VFIO_DEVICE_GET_INFO, &call) < 0)
		answer_result(-1);
	else
		printf("0x%x %u %u\n", call.flags, call.num_regions, call.num_irqs);
}

/* * region REGION: flags and size. */
static void region(char **words)
{
	struct vfio_region_info call = { .argsz = sizeof(call), .index = named(words[1], regions) };

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &call) < 0)
		answer_result(-1);
	else
		printf("0x%x 0x%llx\n", call.flags, (unsigned long long)call.size);
}

/* map BAR: maps the whole of it. */
static void map(char **words)
{
	unsigned int bar = index_below(words[1], MAX_BARS);
	struct vfio_region_info info = region_info(bar);
	void *memory = mmap(NULL, info.size, PROT_READ | PROT_WRITE, MAP_SHARED, device, info.offset);

	if (memory != MAP_FAILED)
		bars[bar] = memory;
	answer_result(memory == MAP_FAILED ? -1 : 0);
}

static volatile uint32_t *mapped(char **words)
{
	volatile uint8_t *bar = bars[index_below(words[1], MAX_BARS)];

	errno = EFAULT;
	if (!bar)
		die("BAR %s is not mapped", words[1]);
	return (volatile uint32_t *)(bar + number(words[2]));
}

/* peek BAR OFFSET: 32 bits through the mapping. */
static void peek(char **words)
{
	volatile uint32_t *where = mapped(words);

	if (sigsetjmp(fault, 1))
		puts("SIGBUS");
	else
		printf("0x%08x\n", *where);
}

/* poke BAR OFFSET VALUE */
static void poke(char **words)
{
	volatile uint32_t *where = mapped(words);

	if (sigsetjmp(fault, 1)) {
		puts("SIGBUS");
	} else {
		*where = number(words[3]);
		puts("ok");
	}
}

/* Eventfds are made if `bind`; an unbound vector's is of no use any more. */
static void answer_set_irqs(uint32_t flags, uint32_t index, uint32_t start, uint32_t count, bool bind)
{
	struct {
		struct vfio_irq_set head;
		int32_t events[MAX_VECTORS];
	} call = { .head = { .flags = flags, .index = index, .start = start, .count = count } };
	uint8_t ones[MAX_VECTORS];

	if (count > MAX_VECTORS) {
		errno = ERANGE;
		die("more than %d vectors", MAX_VECTORS);
	}
	call.head.argsz = sizeof(call.head);
	if (flags & VFIO_IRQ_SET_DATA_BOOL) {
		memset(ones, 1, sizeof(ones));
		memcpy(call.events, ones, count);
		call.head.argsz += count;
	} else if (flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		for (uint32_t vector = 0; vector < count; vector++)
			call.events[vector] = bind ? new_eventfd() : -1;
		call.head.argsz += count * sizeof(call.events[0]);
	}
	int result = ioctl(device, VFIO_DEVICE_SET_IRQS, &call);

	answer_result(result);
	for (uint32_t vector = 0; bind && vector < count; vector++) {
		if (result == 0 && start + vector < MAX_VECTORS && flags & VFIO_IRQ_SET_ACTION_TRIGGER)
			irq_events[start + vector] = call.events[vector];
		else if (result < 0)
			close(call.events[vector]);
	}
}

/* * set_irqs INDEX ACTION+DATA START COUNT: "mask", "unmask" or "trigger"; with "none", "bool" (all ones), "event" (new ones) or "unbind". */
static void set_irqs(char **words)
{
	answer_set_irqs(named_bits(words[2], irq_flags), named(words[1], irq_indexes), number(words[3]), number(words[4]),
			strstr(words[2], "+event") != NULL);
}

/* * irqs intx|msi|msix COUNT: eventfds for that many vectors; 0 disables the index. */
static void irqs(char **words)
{
	uint32_t count = number(words[2]);

	answer_set_irqs(VFIO_IRQ_SET_ACTION_TRIGGER | (count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE),
			named(words[1], irq_indexes), 0, count, count > 0);
}

/* * irq VECTOR MILLISECONDS: how often it fired. */
static void irq(char **words)
{
	answer_count(irq_events[index_below(words[1], MAX_VECTORS)], number(words[2]));
}

/* * irq_info INDEX: flags and vectors. */
static void irq_info(char **words)
{
	struct vfio_irq_info call = { .argsz = sizeof(call), .index = named(words[1], irq_indexes) };

	if (ioctl(device, VFIO_DEVICE_GET_IRQ_INFO, &call) < 0)
		answer_result(-1);
	else
		printf("0x%x %u\n", call.flags, call.count);
}

/* * unmask: INTx, the end of interrupt. */
static void unmask(char **words)
{
	(void)words;
	answer_set_irqs(VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE, VFIO_PCI_INTX_IRQ_INDEX, 0, 1, false);
}

/* * buffer IOVA SIZE: memory that the device reaches at IOVA. */
static void buffer(char **words)
{
	struct vfio_iommu_type1_dma_map call = {
		.argsz = sizeof(call),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = number(words[1]),
		.size = number(words[2]),
	};
	struct buffer *free = buffers;

	while (free->memory && free < buffers + MAX_BUFFERS - 1)
		free++;
	free->memory = mmap(NULL, call.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (free->memory == MAP_FAILED)
		die("memory for a buffer");
	free->iova = call.iova;
	free->size = call.size;
	call.vaddr = (uintptr_t)free->memory;
	answer_result(ioctl(container, VFIO_IOMMU_MAP_DMA, &call));
}

/* * unbuffer IOVA SIZE: takes it from the device; the memory stays. */
static void unbuffer(char **words)
{
	struct vfio_iommu_type1_dma_unmap call = { .argsz = sizeof(call), .iova = number(words[1]), .size = number(words[2]) };

	answer_result(ioctl(container, VFIO_IOMMU_UNMAP_DMA, &call));
}

static uint8_t *at_iova(uint64_t iova, size_t size)
{
	for (struct buffer *buffer = buffers; buffer < buffers + MAX_BUFFERS; buffer++)
		if (buffer->memory && iova >= buffer->iova && iova + size <= buffer->iova + buffer->size)
			return buffer->memory + (iova - buffer->iova);
	errno = EFAULT;
	die("no buffer at %llx", (unsigned long long)iova);
}

static uint8_t pattern(uint64_t seed, size_t position)
{
	return seed + position + (position >> 8) * 3;
}

/* fill IOVA SIZE SEED: a pattern that differs from page to page. */
static void fill(char **words)
{
	size_t size = number(words[2]);
	uint8_t *memory = at_iova(number(words[1]), size);

	for (size_t position = 0; position < size; position++)
		memory[position] = pattern(number(words[3]), position);
	puts("ok");
}

/* compare IOVA SIZE SEED [POSITION]: "ok", or where it differs from what `fill` put at POSITION (0) and beyond. */
static void compare(char **words)
{
	size_t size = number(words[2]), first = words[4] ? number(words[4]) : 0;
	uint8_t *memory = at_iova(number(words[1]), size);

	for (size_t position = 0; position < size; position++) {
		if (memory[position] != pattern(number(words[3]), first + position)) {
			printf("differs at 0x%zx\n", position);
			return;
		}
	}
	puts("ok");
}

/* * reset: VFIO_DEVICE_RESET. */
static void reset(char **words)
{
	(void)words;
	answer_result(ioctl(device, VFIO_DEVICE_RESET));
}

static void open_device(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[128], target[128];
	ssize_t length;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", address);
	length = readlink(path, target, sizeof(target) - 1);
	if (length < 0)
		die("%s", path);
	target[length] = '\0';
	snprintf(path, sizeof(path), "/dev/vfio%s", strrchr(target, '/'));

	container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (container < 0)
		die("/dev/vfio/vfio");
	group = open(path, O_RDWR | O_CLOEXEC);
	if (group < 0)
		die("%s", path);
	if (ioctl(group, VFIO_GROUP_GET_STATUS, &status) < 0 || !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		die("group %s is not viable", path);
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) < 0)
		die("GROUP_SET_CONTAINER");
	if (ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) < 0)
		die("SET_IOMMU");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, address);
	if (device < 0)
		die("GROUP_GET_DEVICE_FD %s", address);
	find_capabilities();
}

/* * open: again, after "close". */
static void reopen(char **words)
{
	(void)words;
	open_device();
	puts("ok");
}

/* * close: the device, and what it takes to have it open. */
static void close_device(char **words)
{
	(void)words;
	answer_result(close(device) | close(group) | close(container));
}

/*
 * function ADDRESS: the commands that follow are for this function of the group, which is opened if it is not open. Mapped BARs and interrupts
 * stay those of the function that had them set up.
 */
static void function(char **words)
{
	static struct {
		char address[16];
		int device;
		uint8_t capabilities[CAPABILITIES];
	} opened[MAX_FUNCTIONS];
	static int count;
	int at = 0;

	if (!count) {
		snprintf(opened[0].address, sizeof(opened[0].address), "%s", address);
		memcpy(opened[0].capabilities, capabilities, sizeof(capabilities));
		opened[count++].device = device;
	}
	while (at < count && strcmp(opened[at].address, words[1]))
		at++;
	if (at == MAX_FUNCTIONS) {
		errno = ENOSPC;
		die("function %s", words[1]);
	}
	if (at == count) {
		int fd = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, words[1]);

		if (fd < 0) {
			answer_result(fd);
			return;
		}
		device = fd;
		memset(capabilities, 0, sizeof(capabilities));
		find_capabilities();
		snprintf(opened[at].address, sizeof(opened[at].address), "%s", words[1]);
		memcpy(opened[at].capabilities, capabilities, sizeof(capabilities));
		opened[count++].device = fd;
	}
	/* Not found anew: that would wake the function. */
	address = opened[at].address;
	device = opened[at].device;
	memcpy(capabilities, opened[at].capabilities, sizeof(capabilities));
	puts("ok");
}

/* hot_reset: VFIO_DEVICE_PCI_HOT_RESET of all functions that share the bus, which have to be in the group. */
static void hot_reset(char **words)
{
	struct {
		struct vfio_pci_hot_reset head;
		int32_t group;
	} request = { .head = { .argsz = sizeof(request), .count = 1 }, .group = group };

	(void)words;
	answer_result(ioctl(device, VFIO_DEVICE_PCI_HOT_RESET, &request));
}

/* Opens an attribute of the function in sysfs. */
static int attribute(const char *name, int flags)
{
	char path[128];
	int file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", address, name);
	file = open(path, flags | O_CLOEXEC);
	if (file < 0)
		die("%s", path);
	return file;
}

static const char *attribute_text(const char *name, char *text, size_t size)
{
	int file = attribute(name, O_RDONLY);
	ssize_t length = read(file, text, size - 1);

	if (length < 0)
		die("read of %s", name);
	close(file);
	text[length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* * state STATUS: waits up to 5 s for that runtime status; answers with the status, the power state and the usage count. */
static void state(char **words)
{
	char status[32], power[32], usage[32];

	for (int tries = 0; tries < 1000 && strcmp(attribute_text("power/runtime_status", status, sizeof(status)), words[1]); tries++)
		usleep(5000);
	printf("%s %s %s\n", status, attribute_text("power_state", power, sizeof(power)),
	       attribute_text("power/runtime_usage", usage, sizeof(usage)));
}

/* * host control|d3cold_allowed VALUE: what the host's user writes there. */
static void host(char **words)
{
	int file = attribute(strcmp(words[1], "control") ? words[1] : "power/control", O_WRONLY);

	answer_result(write(file, words[2], strlen(words[2])));
	close(file);
}

/* * host_access: vendor and device id as a tool on the host reads them. */
static void host_access(char **words)
{
	uint32_t ids = 0;
	int file = attribute("config", O_RDONLY);

	(void)words;
	if (read(file, &ids, sizeof(ids)) < 0)
		answer_result(-1);
	else
		printf("0x%08x\n", ids);
	close(file);
}

static const struct command {
	const char *name;
	int words; /* at least, the name included */
	void (*run)(char **words);
} commands[] = {
	{ "feature", 4, feature },   { "probe", 2, low_power },	     { "set", 2, low_power },
	{ "woken", 2, woken },	     { "woken_before", 2, woken_before }, { "read", 3, read_region },
	{ "write", 4, write_region }, { "info", 1, info },	     { "region", 2, region },
	{ "map", 2, map },	     { "peek", 3, peek },	     { "poke", 4, poke },
	{ "set_irqs", 5, set_irqs }, { "irqs", 3, irqs },	     { "irq", 3, irq },
	{ "irq_info", 2, irq_info }, { "unmask", 1, unmask },	     { "buffer", 3, buffer },
	{ "unbuffer", 3, unbuffer }, { "fill", 4, fill },	     { "compare", 4, compare },
	{ "reset", 1, reset },	     { "open", 1, reopen },	     { "close", 1, close_device },
	{ "function", 2, function },   { "hot_reset", 1, hot_reset },
	{ "state", 2, state },	     { "host", 3, host },	     { "host_access", 1, host_access },
};

static void run_line(char *line)
{
	char *words[MAX_WORDS + 1] = { NULL };
	int count = 0;

	for (char *word = strtok(line, " \n"); word && count < MAX_WORDS; word = strtok(NULL, " \n"))
		words[count++] = word;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (count >= commands[i].words && !strcmp(words[0], commands[i].name)) {
			commands[i].run(words);
			return;
		}
	}
	errno = EINVAL;
	die("unknown command or too few words: %s", count ? words[0] : "");
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_sigbus };
	char line[256];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc != 2) {
		errno = EINVAL;
		die("one PCI address is needed, such as 0000:01:00.0");
	}
	if (sigaction(SIGBUS, &action, NULL) < 0)
		die("sigaction");
	address = argv[1];
	open_device();
	puts("ok");
	while (fgets(line, sizeof(line), stdin))
		run_line(line);
	return 0;
}
