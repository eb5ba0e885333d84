/*
 * A client of the guest's own vfio-pci, steered line by line: each command on standard input gets exactly one line of answer, so that a shell
 * script can hold the device open, look at sysfs between two steps, and compare.
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
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <fcntl.h>
#include <unistd.h>

enum { MAX_WORDS = 6, MAX_BARS = 6, MAX_VECTORS = 16, MAX_BUFFERS = 8 };

struct buffer {
	uint64_t iova;
	size_t size;
	uint8_t *memory;
};

static int container, device;
static int wake_event = -1;
static int irq_events[MAX_VECTORS];
static volatile uint8_t *bars[MAX_BARS];
static struct buffer buffers[MAX_BUFFERS];

static sigjmp_buf fault;

static void on_sigbus(int signal)
{
	(void)signal;
	siglongjmp(fault, 1);
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fputs("vfio_client: ", stdout);
	vprintf(format, arguments);
	printf(": %s\n", strerror(errno));
	exit(1);
}

/* The answer to a call that returns a negative number and sets errno when it fails. */
static void answer_result(int result)
{
	puts(result < 0 ? strerrorname_np(errno) : "ok");
}

static uint64_t number(const char *word)
{
	char *end;
	uint64_t value = strtoull(word, &end, 0);

	if (*word == '\0' || *end != '\0') {
		errno = EINVAL;
		die("not a number: %s", word);
	}
	return value;
}

static unsigned int index_below(const char *word, unsigned int limit)
{
	uint64_t value = number(word);

	if (value >= limit) {
		errno = ERANGE;
		die("must be below %u: %s", limit, word);
	}
	return value;
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

/* probe|set entry|wakeup|exit: the low-power device features. `wakeup` registers a new eventfd, which `woken` waits for. */
static void feature(char **words)
{
	struct {
		struct vfio_device_feature head;
		struct vfio_device_low_power_entry_with_wakeup body;
	} call = { .head.argsz = sizeof(call.head) };

	if (!strcmp(words[1], "entry"))
		call.head.flags = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY;
	else if (!strcmp(words[1], "wakeup"))
		call.head.flags = VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY_WITH_WAKEUP;
	else
		call.head.flags = VFIO_DEVICE_FEATURE_LOW_POWER_EXIT;

	if (!strcmp(words[0], "probe")) {
		call.head.flags |= VFIO_DEVICE_FEATURE_PROBE;
	} else {
		call.head.flags |= VFIO_DEVICE_FEATURE_SET;
		if (!strcmp(words[1], "wakeup")) {
			wake_event = new_eventfd();
			call.body.wakeup_eventfd = wake_event;
			call.head.argsz = sizeof(call);
		}
	}
	answer_result(ioctl(device, VFIO_DEVICE_FEATURE, &call));
}

/* woken MILLISECONDS: how often the wake-up eventfd fired. */
static void woken(char **words)
{
	answer_count(wake_event, number(words[1]));
}

static struct vfio_region_info region(const char *name)
{
	struct vfio_region_info info = { .argsz = sizeof(info) };

	info.index = strcmp(name, "config") ? index_below(name, VFIO_PCI_NUM_REGIONS) : VFIO_PCI_CONFIG_REGION_INDEX;
	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &info) < 0)
		die("GET_REGION_INFO %s", name);
	return info;
}

static unsigned int width(const char *word)
{
	return word ? index_below(word, sizeof(uint64_t) + 1) : sizeof(uint32_t);
}

/* read REGION OFFSET [WIDTH]: through read(2), little-endian; REGION is a number or "config". */
static void read_region(char **words)
{
	unsigned int bytes = width(words[3]);
	uint64_t value = 0;
	ssize_t done = pread(device, &value, bytes, region(words[1]).offset + number(words[2]));

	if (done < 0)
		puts(strerrorname_np(errno));
	else
		printf("0x%0*llx\n", (int)done * 2, (unsigned long long)value);
}

/* write REGION OFFSET VALUE [WIDTH] */
static void write_region(char **words)
{
	uint64_t value = number(words[3]);

	answer_result(pwrite(device, &value, width(words[4]), region(words[1]).offset + number(words[2])));
}

/* map BAR: maps the whole of it. */
static void map(char **words)
{
	struct vfio_region_info info = region(words[1]);
	unsigned int bar = index_below(words[1], MAX_BARS);
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

static unsigned int irq_index(const char *name)
{
	if (!strcmp(name, "intx"))
		return VFIO_PCI_INTX_IRQ_INDEX;
	return strcmp(name, "msi") ? VFIO_PCI_MSIX_IRQ_INDEX : VFIO_PCI_MSI_IRQ_INDEX;
}

/* irqs intx|msi|msix COUNT: eventfds for that many vectors; 0 disables the index. */
static void irqs(char **words)
{
	unsigned int count = index_below(words[2], MAX_VECTORS + 1);
	struct {
		struct vfio_irq_set head;
		int32_t events[MAX_VECTORS];
	} call = { .head = { .index = irq_index(words[1]), .count = count } };

	call.head.argsz = sizeof(call.head) + count * sizeof(call.events[0]);
	call.head.flags = VFIO_IRQ_SET_ACTION_TRIGGER | (count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	for (unsigned int vector = 0; vector < count; vector++)
		call.events[vector] = irq_events[vector] = new_eventfd();
	answer_result(ioctl(device, VFIO_DEVICE_SET_IRQS, &call));
}

/* irq VECTOR MILLISECONDS: how often it fired. */
static void irq(char **words)
{
	answer_count(irq_events[index_below(words[1], MAX_VECTORS)], number(words[2]));
}

/* unmask: INTx, the end of interrupt. */
static void unmask(char **words)
{
	struct vfio_irq_set call = {
		.argsz = sizeof(call),
		.flags = VFIO_IRQ_SET_ACTION_UNMASK | VFIO_IRQ_SET_DATA_NONE,
		.index = VFIO_PCI_INTX_IRQ_INDEX,
		.count = 1,
	};

	(void)words;
	answer_result(ioctl(device, VFIO_DEVICE_SET_IRQS, &call));
}

/* buffer IOVA SIZE: memory that the device reaches at IOVA. */
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

/* unbuffer IOVA SIZE: takes it from the device; the memory stays. */
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

/* reset: VFIO_DEVICE_RESET. */
static void reset(char **words)
{
	(void)words;
	answer_result(ioctl(device, VFIO_DEVICE_RESET));
}

static const struct command {
	const char *name;
	int words; /* at least, the name included */
	void (*run)(char **words);
} commands[] = {
	{ "probe", 2, feature },    { "set", 2, feature },     { "woken", 2, woken }, { "read", 3, read_region },
	{ "write", 4, write_region }, { "map", 2, map },       { "peek", 3, peek },   { "poke", 4, poke },
	{ "irqs", 3, irqs },        { "irq", 3, irq },         { "unmask", 1, unmask }, { "buffer", 3, buffer },
	{ "unbuffer", 3, unbuffer }, { "fill", 4, fill },      { "compare", 4, compare }, { "reset", 1, reset },
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

static void open_device(const char *address)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[128], target[128];
	ssize_t length;
	int group;

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
	open_device(argv[1]);
	puts("ok");
	while (fgets(line, sizeof(line), stdin))
		run_line(line);
	return 0;
}
